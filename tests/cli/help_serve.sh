pha help serve
