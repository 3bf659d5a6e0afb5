package dev.cube.hypervisor;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * QEMU's command line. A booted VM and a blank differ only in what lies under the disks' nodes and in what they wait for;
 * the devices are the same in the same order, or device state would not fit.
 */
final class QemuCommand {
    /**
     * Part of the fingerprint of images: to be counted up with every change of devices, their order or their options.
     */
    static final int DEVICE_LAYOUT = 3;
    /** The agent's port, as the guest knows it. */
    static final String AGENT_PORT = "dev.cube.agent";
    /** The agent's port, as QMP events know it. */
    static final String AGENT_DEVICE = "agent";
    /** The chardev that keeps the last of what the guest printed. */
    static final String CONSOLE = "console";
    static final int CONSOLE_BYTES = 16 * 1024;
    /** Nodes that the guest's disks are attached to. */
    static final String BASE_NODE = "vda";
    static final String WRITABLE_NODE = "vdb";

    private final String qemu;
    private final Accelerator accelerator;
    private final boolean forkable;

    /** @param forkable whether the memory library may fork it, and forbids it to execute programs in QEMU's place */
    QemuCommand(String qemu, Accelerator accelerator, boolean forkable) {
        this.qemu = qemu;
        this.accelerator = accelerator;
        this.forkable = forkable;
    }

    /**
     * Boots a kernel, once {@code cont} says so.
     *
     * @param nodes         descriptions of the block nodes below the disks
     * @param below         name of the node that is the base disk
     * @param belowWritable name of the node that is the writable disk
     */
    List<String> boot(VmDirectory directory, VmShape shape, Artifacts artifacts, String kernelArguments,
            List<String> nodes, String below, String belowWritable) {
        List<String> command = machine(directory, shape);
        nodes.forEach(node -> command.addAll(List.of("-blockdev", node)));
        addDisks(command, below, belowWritable);
        command.addAll(List.of(
                "-S",
                "-kernel", artifacts.kernel().toString(),
                "-initrd", artifacts.initramfs().toString(),
                "-append", kernelArguments));
        return command;
    }

    /** Waits for an image, on disks without content. */
    List<String> blank(VmDirectory directory, VmShape shape) {
        List<String> command = machine(directory, shape);
        BlockNodes.EMPTY.forEach(node -> command.addAll(List.of("-blockdev", node)));
        addDisks(command, BlockNodes.EMPTY_BASE, BlockNodes.EMPTY_WRITABLE);
        command.addAll(List.of("-incoming", "defer"));
        return command;
    }

    private List<String> machine(VmDirectory directory, VmShape shape) {
        return new ArrayList<>(List.of(
                qemu,
                "-name", directory.id(),
                "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
                "-sandbox", "on,obsolete=deny,elevateprivileges=deny,resourcecontrol=deny,spawn=" + (forkable ? "allow" : "deny"),
                // Device state that was not saved by a migration has no such section.
                "-global", "migration.send-configuration=off",
                // The guest never uses the PIT, which wakes QEMU up 36 times a second all the same.
                "-M", "microvm,pit=off,rtc=on,x-option-roms=off,isa-serial=on,memory-backend=ram",
                "-accel", accelerator.qemuOption(),
                "-cpu", accelerator.cpuModel(),
                "-smp", Integer.toString(shape.vcpus()),
                "-m", shape.memoryMib() + "M",
                // Shared, so that migration leaves the memory out; the memory library makes it private.
                "-object", "memory-backend-file,id=ram,share=on,align=2M,size=%dM,mem-path=%s"
                        .formatted(shape.memoryMib(), quoted(directory.memory())),
                "-chardev", "ringbuf,id=%s,size=%d".formatted(CONSOLE, CONSOLE_BYTES),
                "-serial", "chardev:" + CONSOLE,
                "-device", "virtio-serial-device,max_ports=2",
                "-chardev", "socket,id=agent,server=on,wait=off,path=" + quoted(directory.agentSocket()),
                "-device", "virtserialport,id=%s,chardev=agent,nr=1,name=%s".formatted(AGENT_DEVICE, AGENT_PORT),
                "-chardev", "socket,id=qmp,server=on,wait=off,path=" + quoted(directory.qmpSocket()),
                "-mon", "chardev=qmp,mode=control"));
    }

    private static void addDisks(List<String> command, String below, String belowWritable) {
        command.addAll(List.of(
                "-blockdev", "driver=raw,read-only=on,node-name=" + BASE_NODE + ",file=" + below,
                "-device", "virtio-blk-device,drive=" + BASE_NODE,
                "-blockdev", "driver=raw,discard=unmap,node-name=" + WRITABLE_NODE + ",file=" + belowWritable,
                "-device", "virtio-blk-device,werror=report,drive=" + WRITABLE_NODE));
    }

    /** In QEMU's option lists a comma is written twice. */
    private static String quoted(Path path) {
        return path.toString().replace(",", ",,");
    }
}
