package dev.cube.hypervisor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** The node has three blanks for each shape, of which one is left alone. */
class RestoredAheadIT {
    private static final Duration SOON = Duration.ofSeconds(60);

    private TestNode node;
    private QemuHypervisor hypervisor;
    private VmImage template;

    @BeforeEach
    void open() throws IOException {
        node = TestNode.create();
        node.use(LiveForkChoice.OFF);
        node.usePool(3);
        hypervisor = node.hypervisor();
        template = node.template(TestNode.SMALL);
    }

    @AfterEach
    void close() throws IOException {
        node.close();
    }

    private void announce(VmImage image) {
        hypervisor.keepWarm(image, vm -> { }, vm -> { });
    }

    private void awaitReady(VmImage image, int count) {
        await().atMost(SOON).until(() -> hypervisor.restoredAhead(image) == count);
    }

    @Test
    void anAnnouncedImagesVmsAreThereBeforeTheyAreAskedFor() throws Exception {
        announce(template);
        awaitReady(template, 2);
        List<Long> before = node.processes();
        List<Vm> vms = new ArrayList<>();
        try {
            for (int i = 0; i < 4; i++) {
                Vm vm = hypervisor.start(template);
                vms.add(vm);
                if (i < 2) {
                    assertThat(before).contains(vm.pid());
                }
                assertThat(Guest.ask(vm, "read /dev/vda 0")).isEqualTo(TestNode.BASE_TEXT);
                Guest.ask(vm, "write /dev/vdb 4096 of-" + i);
            }
            for (int i = 0; i < 4; i++) {
                assertThat(Guest.ask(vms.get(i), "read /dev/vdb 4096")).isEqualTo("of-" + i);
                assertThat(Guest.ask(vms.get(i), "read /dev/vdb 0")).isEqualTo("the-writable-disk");
            }
            awaitReady(template, 2);
        } finally {
            vms.forEach(Vm::kill);
        }
    }

    @Test
    void theyAreCapturedLikeOthers() throws Exception {
        announce(template);
        awaitReady(template, 2);
        Vm vm = hypervisor.start(template);
        Guest.ask(vm, "fill 4 3");
        String sum = Guest.ask(vm, "sum");
        Guest.ask(vm, "write /dev/vdb 4096 before");
        VmImage image = vm.suspend(node.root().resolve("suspended"), true);

        Vm resumed = hypervisor.start(image);
        try {
            assertThat(Guest.ask(resumed, "sum")).isEqualTo(sum);
            assertThat(Guest.ask(resumed, "read /dev/vdb 4096")).isEqualTo("before");
        } finally {
            resumed.kill();
        }
        hypervisor.discard(image.directory());
    }

    @Test
    void thoseThatDieAreReplaced() throws Exception {
        announce(template);
        awaitReady(template, 2);
        Set<Long> before = new HashSet<>(node.processes());
        before.forEach(pid -> ProcessHandle.of(pid).ifPresent(ProcessHandle::destroyForcibly));

        Vm vm = hypervisor.start(template);
        try {
            assertThat(Guest.ask(vm, "ping")).isEqualTo("pong");
            await().atMost(SOON).until(() -> hypervisor.restoredAhead(template) == 2
                    && node.processes().stream().noneMatch(before::contains));
        } finally {
            vm.kill();
        }
    }

    @Test
    void anImageThatVmsWereStartedFromHasOneForEach() throws Exception {
        hypervisor.start(template).kill();
        awaitReady(template, 1);
        hypervisor.start(template).kill();
        awaitReady(template, 2);

        hypervisor.discard(template.directory());

        assertThat(hypervisor.restoredAhead(template)).isZero();
        await().pollDelay(Duration.ofSeconds(1)).atMost(SOON).until(() -> hypervisor.blanksReady(TestNode.SMALL) == 3 && node.processes().size() == 3);
    }

    @Test
    void whatIsUsedTakesTheRoomOfWhatIsNot() throws Exception {
        announce(template);
        awaitReady(template, 2);
        Vm source = hypervisor.start(template);
        VmImage other = source.suspend(node.root().resolve("other"), true);
        awaitReady(template, 2);
        for (int i = 0; i < 2; i++) {
            Vm vm = hypervisor.start(other);
            assertThat(Guest.ask(vm, "ping")).isEqualTo("pong");
            vm.kill();
        }
        // The template was used lately too, but once only.
        awaitReady(other, 1);
        assertThat(hypervisor.restoredAhead(template)).isEqualTo(1);
        hypervisor.discard(other.directory());
        awaitReady(template, 2);
        await().pollDelay(Duration.ofSeconds(1)).atMost(Duration.ofSeconds(10)).untilAsserted(() ->
                assertThat(node.processes()).hasSize(3));
    }

    @Test
    void anImageThatIsGoneIsGivenUp() {
        announce(template);
        awaitReady(template, 2);
        Vm source = hypervisor.start(template);
        VmImage image = source.suspend(node.root().resolve("gone"), true);
        hypervisor.start(image).kill();
        VmDirectory.deleteTree(image.directory());
        hypervisor.discard(image.directory());

        assertThatThrownBy(() -> hypervisor.start(image)).isInstanceOf(HypervisorException.class);
        awaitReady(template, 2);
        assertThat(hypervisor.restoredAhead(image)).isZero();
    }
}
