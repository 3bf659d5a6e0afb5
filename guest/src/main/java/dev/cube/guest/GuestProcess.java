package dev.cube.guest;

/**
 * A process in the guest, as held by the host: exactly one holder at a time. Output is flow-controlled: what is not
 * taken stays in the guest, and the process waits. Thread-safe; {@link #next} is for one thread.
 */
public interface GuestProcess extends AutoCloseable {
    int pid();

    /** Waits for the next event. After {@link ProcessEvent.Exited} there is none, and calling again is an error. */
    ProcessEvent next();

    /** Writes to standard input or the terminal; waits while the process does not read. */
    void write(byte[] data, int offset, int length);

    /** Closes standard input, after all that was written. */
    void closeStdin();

    /** Signals its process group: what it started is signalled with it, unless it left the group. */
    void signal(int number);

    /** Resizes the terminal; an error without one. */
    void resize(ProcessSpec.PtySize size);

    /** Lets go of the process, which runs on; its output from now on is dropped until it is attached to again. */
    @Override
    void close();
}
