package dev.cube.hypervisor;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;

/** What a guest printed last. */
final class Console {
    private Console() {}

    /** Takes what is in QEMU's ring buffer, and puts it back for the next reader. */
    static String read(QmpClient qmp) throws IOException {
        String text = take(qmp);
        if (!text.isEmpty()) {
            qmp.execute("ringbuf-write",
                    QmpMessage.MAPPER.createObjectNode().put("device", QemuCommand.CONSOLE).put("data", text));
        }
        return text;
    }

    /** Takes what was printed since the last call. Unlike {@link #read}, this never tears a line apart. */
    static String take(QmpClient qmp) throws IOException {
        ObjectNode arguments = QmpMessage.MAPPER.createObjectNode()
                .put("device", QemuCommand.CONSOLE).put("size", QemuCommand.CONSOLE_BYTES);
        return qmp.execute("ringbuf-read", arguments).asText();
    }
}
