"""Entropy-based adversarial domain adaptation: the self-information map.

Defined by ADVENT (Vu et al., "ADVENT: Adversarial Entropy Minimization for Domain Adaptation in Semantic
Segmentation", CVPR 2019, Valeo); this is our own implementation.
"""
