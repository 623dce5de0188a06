"""The codec of band tokens: a picture as pieces of 64x64 pixels, each of 1 to 4096 tokens of three latents.

windows.py turns pixels to latents and back, quantization.py rounds them, refinement.py searches for better tokens;
tokens.py holds them, walk.py codes them under the tables of coders.py, segments.py parts large pictures, histograms.py
makes the tables, picture.py is pictures and files. codec/files.py, the door, chooses this family or the other.
"""
