pha inspect --help
