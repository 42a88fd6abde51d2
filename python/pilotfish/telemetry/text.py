"""Text that can be sent: protobuf refuses lone surrogates, and one of them loses the batch around it."""


def sendable(text: str) -> str:
    """``text``, with a question mark for every character that is not one."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
