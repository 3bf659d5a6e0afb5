package dev.cube.hypervisor;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.List;

/**
 * Descriptions of block nodes, for QMP's {@code blockdev-add} and {@code blockdev-reopen} and for {@code -blockdev}. Files
 * are named relative to QEMU's working directory, and nothing is said that is QEMU's default: its monitor takes commands
 * in byte by byte, at some 8 µs for each.
 */
final class BlockNodes {
    static final String BASE_FILE = "b";
    static final String EMPTY_BASE = "e0";
    static final String EMPTY_WRITABLE = "e1";
    /** What disks are on as long as there is no image. The size does not matter. */
    static final List<String> EMPTY = List.of(
            "driver=null-co,read-zeroes=on,size=1048576,node-name=" + EMPTY_BASE,
            "driver=null-co,read-zeroes=on,size=1048576,node-name=" + EMPTY_WRITABLE);

    private BlockNodes() {}

    /** Name of the node of a VM's overlay. */
    static String overlayNode(int number) {
        return "o" + number;
    }

    /** The base disk's file, under {@link QemuCommand#BASE_NODE}. */
    static ObjectNode base(String file) {
        return file(file).put("node-name", BASE_FILE).put("read-only", true);
    }

    /** An overlay with the layers below it, which QEMU finds by the names in the headers. */
    static ObjectNode overlay(int number, String file) {
        ObjectNode result = QmpMessage.MAPPER.createObjectNode()
                .put("driver", DiskFile.QCOW2).put("node-name", overlayNode(number)).put("discard", "unmap");
        // What the guest has flushed need not survive the machine: the VM does not either. Capture syncs by itself.
        result.putObject("cache").put("no-flush", true);
        return result.<ObjectNode>set("file", file(file));
    }

    /** An overlay that {@code blockdev-snapshot} will put on what is there. */
    static ObjectNode unattachedOverlay(int number, String file) {
        return overlay(number, file).<ObjectNode>set("backing", null);
    }

    /** Name of the node of a merged file directly below a VM's overlay. */
    static String mergedNode(int above) {
        return "m" + above;
    }

    /** A frozen layer with those below it. */
    static ObjectNode layer(String node, DiskFile layer) {
        return QmpMessage.MAPPER.createObjectNode().put("driver", layer.format()).put("node-name", node)
                .put("read-only", true).set("file", file(layer.file()));
    }

    /**
     * Has an overlay that is there read from another node what it has not itself.
     *
     * @param frozen so that its file is not opened for writing again
     */
    static ObjectNode rebased(int number, String file, boolean frozen, String below) {
        ObjectNode arguments = QmpMessage.MAPPER.createObjectNode();
        arguments.putArray("options").add(overlay(number, file).put("read-only", frozen).put("backing", below));
        return arguments;
    }

    /** A layer as the header of the overlay above it names it: a description that QEMU takes in place of a file name. */
    static String pseudoName(DiskFile layer) {
        ObjectNode node = QmpMessage.MAPPER.createObjectNode().put("driver", layer.format());
        return "json:" + node.<ObjectNode>set("file", file(layer.file()));
    }

    /**
     * Without QEMU's locks. A frozen layer is still open for writing, though never written, in the VM that it was taken
     * from, and a forked QEMU has other descriptors than those it locked.
     */
    private static ObjectNode file(String file) {
        return QmpMessage.MAPPER.createObjectNode().put("driver", "file").put("filename", file).put("locking", "off");
    }

    /** Puts the real disks under the nodes that a blank's devices are attached to. */
    static ObjectNode attach(int overlay) {
        ObjectNode arguments = QmpMessage.MAPPER.createObjectNode();
        ArrayNode options = arguments.putArray("options");
        options.addObject().put("driver", "raw").put("node-name", QemuCommand.BASE_NODE).put("read-only", true)
                .put("file", BASE_FILE);
        options.addObject().put("driver", "raw").put("node-name", QemuCommand.WRITABLE_NODE).put("discard", "unmap")
                .put("file", overlayNode(overlay));
        return arguments;
    }
}
