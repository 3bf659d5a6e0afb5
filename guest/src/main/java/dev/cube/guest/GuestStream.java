package dev.cube.guest;

import java.io.InputStream;
import java.io.OutputStream;

/**
 * A TCP connection to a port inside the guest. Flow-controlled both ways. Closing {@link #output} half-closes;
 * closing the stream ends both directions.
 */
public interface GuestStream extends AutoCloseable {
    InputStream input();

    OutputStream output();

    @Override
    void close();
}
