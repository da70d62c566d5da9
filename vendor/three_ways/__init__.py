"""Components of "Three Ways to Improve Semantic Segmentation with Self-Supervised Depth Estimation".

Source: Hoyer et al., CVPR 2021, https://github.com/lhoyer/improving_segmentation_with_selfsupervised_depth, which put
an ASPP into a depth decoder and trained depth with the berHu loss. The implementation here is ours.
"""
