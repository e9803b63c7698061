pha bench --help
