package dev.cube.image;

/** An image that cannot be found, read, trusted or turned into a disk. The message is fit for a user. */
public class ImageException extends RuntimeException {
    public ImageException(String message) {
        super(message);
    }

    public ImageException(String message, Throwable cause) {
        super(message, cause);
    }
}
