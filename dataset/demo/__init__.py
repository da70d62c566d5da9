"""The demo world: small procedural 3D scenes, ray-cast and written in the exact on-disk format of each dataset.

`python -m dataset.demo OUT` writes them, `generate.generate` does so from Python, and `formats.make_scene` gives the
scenes themselves.
"""
