package dev.cube.hypervisor;

import java.io.IOException;

/** QEMU refused a command, or its QMP connection is of no more use. */
class QmpException extends IOException {
    private static final long serialVersionUID = 1L;

    QmpException(String message) {
        super(message);
    }

    QmpException(String message, Throwable cause) {
        super(message, cause);
    }
}
