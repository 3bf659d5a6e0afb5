package dev.cube.hypervisor;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.List;

/** Descriptions of block nodes, for QMP's {@code blockdev-add} and {@code blockdev-reopen} and for {@code -blockdev}. */
final class BlockNodes {
    static final String BASE_FILE = "base";
    static final String EMPTY_BASE = "empty-a";
    static final String EMPTY_WRITABLE = "empty-b";
    /** What disks are on as long as there is no image. The size does not matter. */
    static final List<String> EMPTY = List.of(
            "driver=null-co,read-zeroes=on,size=1048576,node-name=" + EMPTY_BASE,
            "driver=null-co,read-zeroes=on,size=1048576,node-name=" + EMPTY_WRITABLE);

    private BlockNodes() {}

    /** The base disk's file, under {@link QemuCommand#BASE_NODE}. */
    static ObjectNode base(Path file) {
        return file(file).put("node-name", BASE_FILE).put("read-only", true);
    }

    /**
     * A qcow2 overlay on a chain of frozen layers.
     *
     * @param chain     layers from the lowest to the highest, relative to {@code directory}
     */
    static ObjectNode overlay(String node, Path overlay, Path directory, List<DiskFile> chain) {
        return overlay(node, overlay, layer(directory, chain, chain.size() - 1));
    }

    /** A qcow2 overlay that {@code blockdev-snapshot} will put on what is there. */
    static ObjectNode unattachedOverlay(String node, Path overlay) {
        return overlay(node, overlay, null);
    }

    private static ObjectNode overlay(String node, Path overlay, ObjectNode backing) {
        ObjectNode file = file(overlay);
        // What the guest has flushed need not survive the machine: the VM does not either. Capture syncs by itself.
        file.putObject("cache").put("no-flush", true);
        ObjectNode result = QmpMessage.MAPPER.createObjectNode()
                .put("driver", DiskFile.QCOW2).put("node-name", node).put("discard", "unmap");
        result.putObject("cache").put("no-flush", true);
        result.set("file", file.put("discard", "unmap"));
        result.set("backing", backing);
        return result;
    }

    private static ObjectNode layer(Path directory, List<DiskFile> chain, int index) {
        DiskFile disk = chain.get(index);
        ObjectNode result = QmpMessage.MAPPER.createObjectNode().put("driver", disk.format()).put("read-only", true);
        result.set("file", file(directory.resolve(disk.file())).put("read-only", true));
        if (disk.format().equals(DiskFile.QCOW2)) {
            result.set("backing", index > 0 ? layer(directory, chain, index - 1) : null);
        }
        return result;
    }

    /** No locks: no overlay has a second user, and locks would not be the right ones in a forked QEMU. */
    private static ObjectNode file(Path file) {
        return QmpMessage.MAPPER.createObjectNode()
                .put("driver", "file").put("filename", file.toString()).put("locking", "off");
    }

    /** Puts the real disks under the nodes that a blank's devices are attached to. */
    static ObjectNode attach(String overlayNode) {
        ObjectNode arguments = QmpMessage.MAPPER.createObjectNode();
        ArrayNode options = arguments.putArray("options");
        options.addObject().put("driver", "raw").put("node-name", QemuCommand.BASE_NODE).put("read-only", true)
                .put("file", BASE_FILE);
        options.addObject().put("driver", "raw").put("node-name", QemuCommand.WRITABLE_NODE).put("file", overlayNode);
        return arguments;
    }
}
