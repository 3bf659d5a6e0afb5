package dev.cube.cubelet;

/** A VM that runs beside a sandbox's own, until it takes that one's place. For one thread. */
public interface Replacement extends AutoCloseable {
    /** The sandbox as it will be. */
    Sandbox sandbox();

    /** Makes it the sandbox of its ID. Connections to the VM before are cut when this returns; that VM ends soon. */
    void takePlace();

    /** Ends the VM unless it has taken its place. */
    @Override
    void close();
}
