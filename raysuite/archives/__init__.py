"""Archives of images in any form → bounded units of work, found in a stream, and the bytes of their images."""
