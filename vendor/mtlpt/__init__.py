"""Building blocks of dense multi-task networks, as Multi-Task-Learning-PyTorch defines them.

Source: Simon Vandenhende's Multi-Task-Learning-PyTorch, https://github.com/SimonVandenhende/Multi-Task-Learning-PyTorch,
the code of "Multi-Task Learning for Dense Prediction Tasks: A Survey" (Vandenhende et al., TPAMI 2021). The
implementation here is ours.
"""
