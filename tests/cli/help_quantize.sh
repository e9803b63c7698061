pha quantize --help
