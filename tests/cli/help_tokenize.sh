pha tokenize --help
