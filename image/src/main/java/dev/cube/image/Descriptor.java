package dev.cube.image;

/** Names a piece of content by what it is, its hash and its size in bytes. */
record Descriptor(String mediaType, Digest digest, long size) {}
