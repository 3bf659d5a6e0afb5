package dev.cube.hypervisor;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.OptionalInt;
import java.util.concurrent.CompletableFuture;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The layers of a VM's writable disk, in its directory and in QEMU: those that it started from, and its own overlays above them, of
 * which the last is active and the others are frozen. Not thread-safe.
 */
final class DiskLayers {
    private static final int NONE = -1;
    /** A larger overlay is frozen, not copied. An idle sandbox's has 700 kB; to copy 2 MiB takes less than to freeze them. */
    private static final long SMALL = 2 << 20;
    private static final Duration ANSWER_TIMEOUT = Duration.ofSeconds(60);
    private static final Pattern NODE = Pattern.compile("([om])([0-9]{1,9})");

    private final QemuHandle qemu;
    private List<DiskFile> lineage;
    /** Their numbers are those of QEMU's block nodes too, and so a fork goes on where its parent was. */
    private final List<Integer> overlays;
    private int next;
    /** Number of an overlay that QEMU has opened already, without having put it on top; the next one, or none. */
    private int ahead = NONE;

    /**
     * @param lineage  layers below the VM's own
     * @param overlays numbers of the VM's own
     * @param next     number that no overlay of the VM has had
     */
    DiskLayers(QemuHandle qemu, List<DiskFile> lineage, List<Integer> overlays, int next) {
        this.qemu = qemu;
        this.lineage = lineage;
        this.overlays = new ArrayList<>(overlays);
        this.next = next;
        // Where a server died, the lineage may know already what the overlays do not: that one file has their place.
        for (int i = this.overlays.size() - 2; i >= 0; i--) {
            if (lineage.contains(frozenLayer(this.overlays.get(i)))) {
                this.overlays.subList(0, i + 1).clear();
                break;
            }
        }
    }

    int active() {
        return overlays.getLast();
    }

    List<Integer> overlays() {
        return List.copyOf(overlays);
    }

    int next() {
        return next;
    }

    /** A number for the next overlay. */
    int reserve() {
        return next++;
    }

    List<DiskFile> lineage() {
        return lineage;
    }

    /** All layers below the active overlay. */
    List<DiskFile> frozen() {
        List<DiskFile> result = new ArrayList<>(lineage);
        overlays.subList(0, overlays.size() - 1).forEach(overlay -> result.add(frozenLayer(overlay)));
        return result;
    }

    /** All layers, as they are when the active overlay is frozen too, which gets the name that it has then. */
    List<DiskFile> withActive() throws IOException {
        List<DiskFile> result = frozen();
        result.add(nameFrozen());
        return result;
    }

    /** Whether the active overlay is copied sooner than it is frozen. */
    boolean isActiveSmall() throws IOException {
        return Files.size(activeFile()) <= SMALL;
    }

    /** The file of the active overlay. */
    Path activeFile() {
        return qemu.directory().overlay(active());
    }

    /** All layers that a stopped VM's disk has something in, the active one with the name that it has when it is frozen. */
    List<DiskFile> ofState() throws IOException {
        Path overlay = activeFile();
        long size = Qcow2Overlay.virtualSize(qemu.directory().path(), new DiskFile(fileName(active()), DiskFile.QCOW2));
        try (Qcow2Layer layer = Qcow2Layer.open(overlay, size)) {
            return layer.isEmpty() ? frozen() : withActive();
        }
    }

    /** A copy of the active overlay for a VM whose disk will be like this one's; it is up to date once it was updated while the VM stands still. */
    OverlayCopy copyActive(VmDirectory to) throws IOException {
        return new OverlayCopy(activeFile(), to.overlay(active()));
    }

    /** Makes the overlay that was added ahead for a fork too, if there is one. */
    void createAhead(VmDirectory directory) throws IOException {
        if (ahead != NONE) {
            create(directory, ahead, active());
        }
    }

    private DiskFile nameFrozen() throws IOException {
        Path frozen = qemu.directory().frozenOverlay(active());
        if (Files.notExists(frozen)) {
            Files.createLink(frozen, activeFile());
        }
        return frozenLayer(active());
    }

    private DiskFile frozenLayer(int overlay) {
        return frozenLayer(qemu.directory(), overlay);
    }

    private static DiskFile frozenLayer(VmDirectory directory, int overlay) {
        return new DiskFile(directory.frozenOverlay(overlay).getFileName().toString(), DiskFile.QCOW2);
    }

    /**
     * Makes the file of an overlay for above one that is active and will have its other name when it is frozen.
     *
     * @param directory of the VM that it will be an overlay of: this one, or a fork of it
     */
    private void create(VmDirectory directory, int number, int active) throws IOException {
        long size = Qcow2Overlay.virtualSize(qemu.directory().path(), new DiskFile(fileName(active), DiskFile.QCOW2));
        Qcow2Overlay.create(directory.overlay(number), BlockNodes.pseudoName(frozenLayer(directory, active)),
                DiskFile.QCOW2, size);
    }

    /** Has QEMU open an overlay for above the active one, if it has not already. */
    CompletableFuture<?> sendAdd(int number) throws IOException {
        if (number == ahead) {
            return CompletableFuture.completedFuture(null);
        }
        create(qemu.directory(), number, active());
        return qemu.qmp().send("blockdev-add", BlockNodes.unattachedOverlay(number, fileName(number)));
    }

    /** Has QEMU open the next overlay now, since that takes its time. Where this fails, the number is not used. */
    void addAhead() throws IOException {
        if (ahead == next) {
            return;
        }
        try {
            QmpClient.await(sendAdd(next), ANSWER_TIMEOUT, "blockdev-add");
            ahead = next;
        } catch (IOException e) {
            reserve();
            throw e;
        }
    }

    /** Number of the overlay that was {@linkplain #addAhead added ahead}, if one was. */
    OptionalInt ahead() {
        return ahead == NONE ? OptionalInt.empty() : OptionalInt.of(ahead);
    }

    /** QEMU is a fork of one that had opened the next overlay. */
    void isAhead() {
        ahead = next;
    }

    /** Those that QEMU may write to. */
    List<Integer> open() {
        return ahead == NONE ? List.of(active()) : List.of(active(), ahead);
    }

    /** Puts an overlay on top, so that the one below is frozen. It is the VM's active one when that was {@linkplain #switched done}. */
    CompletableFuture<?> sendSwitch(int number) throws IOException {
        nameFrozen();
        return qemu.qmp().send("blockdev-snapshot", QmpMessage.MAPPER.createObjectNode()
                .put("node", BlockNodes.overlayNode(active())).put("overlay", BlockNodes.overlayNode(number)));
    }

    void switched(int number) {
        overlays.add(number);
        ahead = NONE;
    }

    /** The VM's layers below its active overlay are these now. */
    void startFrom(List<DiskFile> layers) throws IOException {
        lineage = layers;
        drop(overlays.size() - 1);
    }

    /** Frozen overlays are known by their other names. */
    private void drop(int count) throws IOException {
        List<Integer> dropped = overlays.subList(0, count);
        for (int overlay : dropped) {
            Files.deleteIfExists(qemu.directory().overlay(overlay));
        }
        dropped.clear();
    }

    /** Whether {@link #replace} can be: what is directly above is an overlay of the VM's own, which QEMU knows by name. */
    boolean canReplace(LayerMerge merge) {
        return merge.isBelow(frozen()) && above(merge) >= 0;
    }

    /** Index among the VM's own overlays. */
    private int above(LayerMerge merge) {
        return merge.kept().size() + merge.merged().size() - lineage.size();
    }

    /**
     * Has QEMU read the merged file, which has the place of the uppermost layer already, instead of those that were merged, and
     * close them. The VM need not stand still. Where this fails, QEMU reads one or the other.
     */
    void replace(LayerMerge merge) throws IOException {
        int index = above(merge);
        int above = overlays.get(index);
        String node = BlockNodes.mergedNode(above);
        qemu.qmp().execute("blockdev-add", BlockNodes.layer(node, merge.top()));
        try {
            qemu.qmp().execute("blockdev-reopen", BlockNodes.rebased(
                    above, fileName(above), index < overlays.size() - 1, node));
        } finally {
            removeUnusedNodes();
        }
        lineage = merge.result();
        drop(index);
    }

    private String fileName(int overlay) {
        return fileName(qemu.directory(), overlay);
    }

    private static String fileName(VmDirectory directory, int overlay) {
        return directory.overlay(overlay).getFileName().toString();
    }

    /**
     * Removes the nodes of overlays and merged files that are not in use, which is to say that QEMU refuses to remove the others.
     * From top to bottom, since each is used by the one above.
     */
    private void removeUnusedNodes() throws IOException {
        List<Matcher> nodes = new ArrayList<>();
        for (JsonNode node : qemu.qmp().execute(
                "query-named-block-nodes", QmpMessage.MAPPER.createObjectNode().put("flat", true))) {
            Matcher name = NODE.matcher(node.path("node-name").asText());
            if (name.matches() && !name.group().equals(BlockNodes.overlayNode(ahead))) {
                nodes.add(name);
            }
        }
        nodes.sort(Comparator.comparing((Matcher name) -> Integer.parseInt(name.group(2)))
                .thenComparing(name -> name.group(1)).reversed());
        List<CompletableFuture<?>> removals = new ArrayList<>();
        for (Matcher name : nodes) {
            removals.add(qemu.qmp().send("blockdev-del",
                    QmpMessage.MAPPER.createObjectNode().put("node-name", name.group())).exceptionally(inUse -> null));
        }
        QmpClient.await(CompletableFuture.allOf(removals.toArray(CompletableFuture[]::new)), ANSWER_TIMEOUT, "blockdev-del");
    }
}
