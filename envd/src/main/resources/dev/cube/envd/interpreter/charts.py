"""Describes matplotlib figures as data."""


def describe(figure):
    return {}
