"""From config to optimizer: parameter groups, the optimizer itself, learning-rate schedules."""
