"""Datasets on disk and the samples a network is trained and measured on."""
