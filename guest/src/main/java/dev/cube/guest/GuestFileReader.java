package dev.cube.guest;

import java.io.InputStream;

/** An open file in the guest: its status at opening, and its bytes, flow-controlled. */
public interface GuestFileReader extends AutoCloseable {
    FileInfo info();

    InputStream input();

    @Override
    void close();
}
