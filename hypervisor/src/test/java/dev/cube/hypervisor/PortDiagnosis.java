package dev.cube.hypervisor;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;

/** How the agent's port looks from QEMU, for a guest that does not answer there. */
final class PortDiagnosis {
    /** Port 0's input and output, control's input and output, port 1's, which is the agent's. */
    private static final int QUEUES = 6;

    private PortDiagnosis() {}

    static String of(QmpClient qmp) throws IOException {
        StringBuilder text = new StringBuilder("\n").append(qmp.execute("query-chardev"));
        for (JsonNode device : qmp.execute("x-query-virtio")) {
            if (device.path("name").asText().equals("virtio-serial")) {
                String path = device.path("path").asText();
                text.append('\n').append(qmp.execute(
                        "x-query-virtio-status", QmpMessage.MAPPER.createObjectNode().put("path", path)));
                for (int queue = 0; queue < QUEUES; queue++) {
                    text.append('\n').append(qmp.execute("x-query-virtio-queue-status",
                            QmpMessage.MAPPER.createObjectNode().put("path", path).put("queue", queue)));
                }
            }
        }
        for (String command : new String[] {"info chardev", "info pic", "info lapic", "info registers -a"}) {
            text.append('\n').append(command).append('\n').append(qmp.execute("human-monitor-command",
                    QmpMessage.MAPPER.createObjectNode().put("command-line", command)).asText());
        }
        return text.toString();
    }
}
