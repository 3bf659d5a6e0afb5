package dev.cube.hypervisor;

/** The hypervisor could not do what was asked. The message is fit for an operator and carries QEMU's own text. */
public class HypervisorException extends RuntimeException {
    public HypervisorException(String message) {
        super(message);
    }

    public HypervisorException(String message, Throwable cause) {
        super(message, cause);
    }
}
