pha
