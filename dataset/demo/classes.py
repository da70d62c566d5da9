"""The classes of rooms and streets, and what the label files of each dataset hold for them."""

SKY = "sky"
# NYUDv2: the class's number among the 40, 1-based as its files store it (0 is void).
INDOOR = {
    "wall": 1, "floor": 2, "ceiling": 22, "cabinet": 3, "sofa": 6, "table": 7, "door": 8, "window": 9, "bookshelf": 10,
    "picture": 11, "curtain": 16, "floor mat": 20, "box": 29, "person": 31, "lamp": 35, "otherstructure": 38,
    "otherprop": 40,
}  # fmt: skip
# The id in Cityscapes, the number in SYNTHIA, the colour in Virtual KITTI 2. The last knows neither pavements nor
# people: they go where it puts roadsides and everything else.
OUTDOOR = {
    "road": (7, 3, (100, 60, 100)),
    "sidewalk": (8, 4, (210, 0, 200)),
    "terrain": (22, 16, (210, 0, 200)),
    "building": (11, 2, (140, 140, 140)),
    "wall": (12, 21, (80, 80, 80)),
    "fence": (13, 5, (250, 100, 255)),
    "pole": (17, 7, (255, 130, 0)),
    "traffic light": (19, 15, (200, 200, 0)),
    "traffic sign": (20, 9, (255, 255, 0)),
    "tree": (21, 6, (0, 199, 0)),
    "bush": (21, 6, (90, 240, 0)),
    SKY: (23, 1, (90, 200, 255)),
    "person": (24, 10, (80, 80, 80)),
    "car": (26, 8, (255, 127, 80)),
    "bus": (28, 19, (160, 60, 60)),
}
