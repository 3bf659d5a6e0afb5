package dev.cube.hypervisor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import java.util.SortedMap;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Every descriptor of a parent, and what becomes of it in its children. */
class ForkDescriptorsIT {
    private enum Fate {
        /** Another object of the kernel, with the same content. */
        MADE_ANEW,
        /** The child's own file, connection or listener in place of the parent's. */
        REPLACED,
        /** One that nobody changes, which all share. */
        KEPT,
        /** The parent's control socket and the connection to it; the child has its own. */
        CLOSED
    }

    private TestNode node;
    private final List<Vm> vms = new ArrayList<>();

    @BeforeEach
    void open() throws Exception {
        node = TestNode.create();
    }

    @AfterEach
    void close() throws Exception {
        vms.forEach(Vm::kill);
        node.close();
    }

    private VmImage image(VmShape shape) {
        VmImage image = node.template(shape);
        node.hypervisor().keepWarm(image, vm -> { }, vm -> { });
        awaitWarm(image);
        return image;
    }

    private void awaitWarm(VmImage image) {
        await().atMost(Duration.ofSeconds(120)).until(() -> node.hypervisor().isWarm(image));
    }

    private Vm start(VmImage image) {
        Vm vm = node.hypervisor().start(image);
        vms.add(vm);
        return vm;
    }

    @Test
    void eachOfThemIsAccountedFor() throws Exception {
        VmImage image = image(new VmShape(2, 256));
        Vm parent = node.hypervisor().warmParent(image).orElseThrow();
        Vm first = start(image);
        Vm second = start(image);
        assertThat(node.hypervisor().forked()).isEqualTo(2);

        Set<Fate> seen = EnumSet.noneOf(Fate.class);
        for (Vm child : List.of(first, second)) {
            SortedMap<Integer, OpenFile> theirs = OpenFile.of(parent.pid());
            SortedMap<Integer, OpenFile> own = OpenFile.of(child.pid());
            for (OpenFile file : theirs.values()) {
                seen.add(accountFor(file, parent, child, own));
            }
            // What is left is the child's own control socket, and the connection by which it came.
            List<String> rest = new ArrayList<>();
            for (OpenFile file : own.values()) {
                assertThat(file.isSocket()).as(file.toString()).isTrue();
                rest.add((file.isListening() ? "listener " : "connection ") + file.socketName());
            }
            assertThat(rest).containsExactlyInAnyOrder(
                    "listener " + directoryOf(child).controlSocket(), "connection @cubefork/" + child.pid() + "/control");
        }
        assertThat(seen).containsExactlyInAnyOrder(Fate.values());

        SortedMap<Integer, OpenFile> siblings = OpenFile.of(second.pid());
        for (OpenFile file : OpenFile.of(first.pid()).values()) {
            if (!isNeverChanged(file)) {
                assertThat(siblings.values()).as("%s, of siblings", file).noneMatch(file::isSameAs);
            }
        }
    }

    /** Takes what has become of the parent's {@code file} out of {@code own}. */
    private Fate accountFor(OpenFile file, Vm parent, Vm child, SortedMap<Integer, OpenFile> own) throws IOException {
        if (file.isSocket() && isControl(file)) {
            assertThat(own.values()).as("%s, of the parent", file).noneMatch(file::isSameAs);
            return Fate.CLOSED;
        }
        OpenFile now = own.remove(file.number());
        assertThat(now).as("descriptor %d of the child, in place of %s", file.number(), file).isNotNull();
        assertThat(now.line("flags")).as("flags of %s", file).isEqualTo(file.line("flags"));
        if (isNeverChanged(file)) {
            assertThat(file.isSameAs(now)).as("%s, now %s", file, now).isTrue();
            return Fate.KEPT;
        }
        for (OpenFile theirs : OpenFile.of(parent.pid()).values()) {
            assertThat(theirs.isSameAs(now)).as("%s is %s of the parent", now, theirs).isFalse();
        }
        switch (file.target()) {
            case "anon_inode:[eventfd]" -> assertThat(now.target()).isEqualTo(file.target());
            case "anon_inode:[signalfd]" -> {
                assertThat(now.target()).isEqualTo(file.target());
                assertThat(now.line("sigmask")).isEqualTo(file.line("sigmask"));
            }
            case "anon_inode:[eventpoll]" -> {
                assertThat(now.target()).isEqualTo(file.target());
                assertThat(watched(now)).isEqualTo(watched(file));
            }
            default -> {
                assertReplaced(file, now, parent, child);
                return Fate.REPLACED;
            }
        }
        return Fate.MADE_ANEW;
    }

    private static void assertReplaced(OpenFile file, OpenFile now, Vm parent, Vm child) throws IOException {
        if (file.isSocket()) {
            assertThat(now.isSocket()).as(now.toString()).isTrue();
            assertThat(now.isListening()).isEqualTo(file.isListening());
            Path name = Path.of(file.socketName()).getFileName();
            assertThat(name.toString()).isIn("qmp.sock", "agent.sock");
            assertThat(now.socketName()).isEqualTo(now.isListening() ? directoryOf(child).run().resolve(name).toString()
                    : "@cubefork/" + child.pid() + "/" + name);
            return;
        }
        VmDirectory parents = directoryOf(parent);
        VmDirectory childs = directoryOf(child);
        if (file.target().equals(parents.log().toString())) {
            assertThat(now.target()).isEqualTo(childs.log().toString());
        } else if (file.target().equals(parents.memory().toString())) {
            assertThat(now.target()).isEqualTo("/dev/null");
        } else {
            // The active overlay, and the one for the first capture.
            int overlay = file.target().equals(parents.overlay(0).toString()) ? 0 : 1;
            assertThat(file.target()).isEqualTo(parents.overlay(overlay).toString());
            assertThat(now.target()).isEqualTo(childs.overlay(overlay).toString());
        }
    }

    private static VmDirectory directoryOf(Vm vm) {
        return ((QemuVm) vm).qemu().directory();
    }

    private static List<String> watched(OpenFile set) {
        // The rest of such a line is about the watched file, which is another.
        return set.info().lines().filter(line -> line.startsWith("tfd:"))
                .map(line -> line.replaceAll(" pos:.*", "")).sorted().toList();
    }

    private static boolean isControl(OpenFile file) throws IOException {
        return file.socketName().endsWith("/" + VmDirectory.LONGEST_SOCKET);
    }

    /** Base disk, frozen layers, /dev/null. */
    private static boolean isNeverChanged(OpenFile file) {
        if (!file.target().startsWith("/")) {
            return false;
        }
        String name = Path.of(file.target()).getFileName().toString();
        return switch (name) {
            case "null", "urandom" -> true;
            default -> file.isReadOnly();
        };
    }

    @Test
    void aParentWithAnUnknownDescriptorIsNotForkedAndItsUsersAreServed() throws Exception {
        VmImage image = image(TestNode.SMALL);
        Vm parent = node.hypervisor().warmParent(image).orElseThrow();
        openStrangeFile(parent);

        // Some children were forked before.
        for (int i = 0; i <= TestNode.FORKS_READY; i++) {
            assertThat(Guest.ask(start(image), "ping")).isEqualTo("pong");
        }

        await().atMost(Duration.ofSeconds(60)).until(() -> node.hypervisor().failedForks() == 1);
        await().atMost(Duration.ofSeconds(60)).until(() -> Files.notExists(Path.of("/proc/" + parent.pid())));
        awaitWarm(image);
        long forked = node.hypervisor().forked();
        assertThat(Guest.ask(start(image), "ping")).isEqualTo("pong");
        assertThat(node.hypervisor().forked()).isEqualTo(forked + 1);
    }

    @Test
    void aParentThatCannotBeForkedIsFoundOutBeforeItsUsersCome() throws Exception {
        VmImage image = node.template(TestNode.SMALL);

        node.hypervisor().keepWarm(image, this::openStrangeFile, vm -> { });
        await().atMost(Duration.ofSeconds(120)).until(() -> node.hypervisor().failedForks() > 0);

        assertThat(node.hypervisor().isWarm(image)).isFalse();
        assertThat(Guest.ask(start(image), "ping")).isEqualTo("pong");
        assertThat(node.hypervisor().forked()).isZero();
    }

    /** QEMU is told to open a file for writing that the fork is not told of. */
    private void openStrangeFile(Vm vm) {
        var arguments = QmpMessage.MAPPER.createObjectNode().put("id", "strange");
        arguments.putObject("backend").put("type", "file").putObject("data")
                .put("out", node.root().resolve("strange").toString());
        try {
            ((QemuVm) vm).qemu().qmp().execute("chardev-add", arguments);
        } catch (IOException e) {
            throw new HypervisorException("chardev-add", e);
        }
    }
}
