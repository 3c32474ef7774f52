"""Raises an error whose class and message are markup, a formula, control characters and half a character."""

SAID = '=HYPERLINK("http://x")\r\n<script>alert(1)</script>{{ 7 * 7 }}\ud800\0\x1b[2J\u202e'


def invert_mask(mask):
    raise type("<script>alert(2)</script>", (Exception,), {})(SAID)
