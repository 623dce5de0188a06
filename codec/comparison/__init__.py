"""Comparing odpiece with other codecs: the same pictures, whole files, metrics, rate-distortion curves."""
