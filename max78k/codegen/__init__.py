"""From an Image to a C project, and from a C project to an ELF file."""
