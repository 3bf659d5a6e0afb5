package dev.cube.envd.files;

/** A multipart body that cannot be understood. */
final class MalformedMultipart extends Exception {
    MalformedMultipart(String message) {
        super(message, null, false, false);
    }
}
