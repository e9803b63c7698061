pha eval --help
