package dev.cube.hypervisor;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;

/**
 * Layers of a disk that one file takes the place of, under the name of the uppermost of them: the name of a layer stands for what
 * the disk was like when the layer was frozen, and the layer above refers to it by that name.
 *
 * @param kept   layers below
 * @param merged layers whose place is taken, the lowest first
 */
record LayerMerge(List<DiskFile> kept, List<DiskFile> merged) {
    /** A disk with more layers is to be merged: each is a file open in QEMU, and is asked for what those above do not have. */
    static final int MOST_LAYERS = 8;
    private static final int MOST_KEPT = 4;

    /**
     * What is to be merged of a disk. A layer larger than all above it together stays as it is, so that what was written once is
     * not copied again and again; but no more than a few stay.
     *
     * @param directory with the layers
     * @param layers    the lowest first
     */
    static LayerMerge of(Path directory, List<DiskFile> layers) throws IOException {
        int from = layers.size();
        long above = 0;
        while (from > 1 && isMergeable(layers.get(from - 1))) {
            long size = Files.size(directory.resolve(layers.get(from - 1).file()));
            if (from <= MOST_KEPT && size > above) {
                break;
            }
            above += size;
            from--;
        }
        return new LayerMerge(List.copyOf(layers.subList(0, from)), List.copyOf(layers.subList(from, layers.size())));
    }

    /** An absolute name stands for a file that no link could be made to, and nothing can take its place here. */
    private static boolean isMergeable(DiskFile layer) {
        return layer.format().equals(DiskFile.QCOW2) && !Path.of(layer.file()).isAbsolute();
    }

    boolean isWorthwhile() {
        return merged.size() > 1;
    }

    /** Whether the layers of a disk are these, and perhaps others above them. */
    boolean isBelow(List<DiskFile> layers) {
        List<DiskFile> these = new ArrayList<>(kept);
        these.addAll(merged);
        return layers.size() >= these.size() && layers.subList(0, these.size()).equals(these);
    }

    DiskFile top() {
        return merged.getLast();
    }

    /** The layers afterwards. */
    List<DiskFile> result() {
        List<DiskFile> result = new ArrayList<>(kept);
        result.add(top());
        return result;
    }

    /** Writes the merged file, which is on disk when this returns; where that fails, nothing is left of it. */
    void write(Path directory, Path target) throws IOException {
        DiskFile below = kept.getLast();
        Qcow2Merge.write(merged.stream().map(layer -> directory.resolve(layer.file())).toList(), target,
                BlockNodes.pseudoName(below), below.format(), Qcow2Overlay.virtualSize(directory, below));
    }

    /**
     * Puts a link to the merged file in the place of the uppermost layer. The list of layers of before holds as well as the new one
     * from now on, until {@link #removeOthers}.
     */
    void link(Path file, Path directory) throws IOException {
        Path fresh = directory.resolve(top().file() + ".new");
        Files.deleteIfExists(fresh);
        Files.createLink(fresh, file);
        Files.move(fresh, directory.resolve(top().file()), StandardCopyOption.ATOMIC_MOVE);
    }

    void removeOthers(Path directory) throws IOException {
        for (DiskFile layer : merged) {
            if (!layer.equals(top())) {
                Files.deleteIfExists(directory.resolve(layer.file()));
            }
        }
    }
}
