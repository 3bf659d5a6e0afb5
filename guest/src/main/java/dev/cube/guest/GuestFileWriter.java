package dev.cube.guest;

/**
 * Writes a file in the guest. {@link #commit} waits until all is written and the guest has said so; closing without it
 * leaves what was there before, or nothing.
 */
public interface GuestFileWriter extends AutoCloseable {
    void write(byte[] data, int offset, int length);

    FileInfo commit();

    @Override
    void close();
}
