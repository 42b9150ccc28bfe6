"""How results look: one JSON document, and the renderers that print it.

`document` builds the document; everything else takes it as a plain mapping, so that a
stored `verdict.json` renders again without computing anything twice. Rounding, units
and words live in `format` and nowhere else.
"""
