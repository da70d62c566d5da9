"""The networks: an image in, `{task: {scale: tensor}}` out. Only `build.py` and `published.py` know the config."""
