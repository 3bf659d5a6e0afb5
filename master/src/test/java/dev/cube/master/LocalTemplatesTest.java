package dev.cube.master;

import static org.assertj.core.api.Assertions.assertThat;

import dev.cube.cubelet.SandboxException;
import dev.cube.hypervisor.VmShape;
import dev.cube.master.MasterException.Kind;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class LocalTemplatesTest extends MasterTest {
    private final CountDownLatch mayEnd = new CountDownLatch(1);
    private final CountDownLatch building = new CountDownLatch(1);

    private void holdBuilds() {
        cubelet.build = (request, log) -> {
            log.accept("begun");
            building.countDown();
            mayEnd.await();
            log.accept("done\u001b[31m");
        };
    }

    @Test
    void aJobCanBeWatchedFromItsFirstLineToItsLast() {
        holdBuilds();
        TemplateInfo template = master.templates().create(templateRequest("py"));
        assertThat(template.id()).matches("[0-9a-z]{20}");
        assertThat(template.state()).isEqualTo(TemplateInfo.State.BUILDING);
        assertRefused(Kind.CONFLICT, "still being made",
                () -> master.sandboxes().create(sandboxRequest(template.id(), HOUR)));

        List<String> lines = new ArrayList<>();
        Templates.JobLog log = master.templates().log(template.id(), 0);
        while (log.state() == TemplateInfo.State.BUILDING || !log.lines().isEmpty()) {
            lines.addAll(log.lines());
            mayEnd.countDown();
            log = master.templates().log(template.id(), log.nextOffset());
        }

        assertThat(lines).containsExactly("begun", "done [31m");
        assertThat(log.state()).isEqualTo(TemplateInfo.State.READY);
        restart();
        assertThat(master.templates().log("py", 1).lines()).containsExactly("done [31m");
        assertThat(master.templates().get("py").id()).isEqualTo(template.id());
    }

    @Test
    void keepsAllOfATemplateAcrossARestart() {
        TemplateInfo template = readyTemplate("a", "b");
        assertThat(template.aliases()).containsExactly("a", "b");
        restart();
        assertThat(master.templates().list()).containsExactly(template);
        assertThat(template).extracting(TemplateInfo::image, TemplateInfo::cpuCount, TemplateInfo::memoryMib,
                TemplateInfo::diskMib, TemplateInfo::exposedPorts, TemplateInfo::reason)
                .containsExactly("oci:x", 2, 2048, 1024, List.of(49999), "");
    }

    @Test
    void aFailedJobSaysWhyAndLeavesNoFiles() {
        cubelet.build = (request, log) -> {
            throw new SandboxException(SandboxException.Kind.FAILED, "no such image");
        };
        TemplateInfo template = awaitState(master.templates().create(templateRequest("a")).id(),
                TemplateInfo.State.FAILED);
        assertThat(template.reason()).isEqualTo("no such image");
        assertThat(template.aliases()).isEmpty();
        assertThat(templateDirectories()).isEmpty();
        assertThat(master.templates().log(template.id(), 0).lines()).containsExactly("Failed: no such image");
        assertRefused(Kind.CONFLICT, "failed: no such image",
                () -> master.sandboxes().create(sandboxRequest(template.id(), HOUR)));

        master.templates().delete(template.id());
        assertThat(master.templates().list()).isEmpty();
    }

    @Test
    void anErrorInTheServerFailsTheJobToo() {
        cubelet.build = (request, log) -> {
            throw new IllegalStateException("a bug");
        };
        TemplateInfo template = awaitState(master.templates().create(templateRequest()).id(),
                TemplateInfo.State.FAILED);
        assertThat(template.reason()).contains("a bug");
    }

    @Test
    void anAliasIsTakenOverWhenItsNewTemplateIsReady() {
        TemplateInfo old = readyTemplate("base", "other");
        holdBuilds();
        TemplateInfo successor = master.templates().create(templateRequest("base"));
        assertThat(master.templates().get("base").id()).isEqualTo(old.id());

        mayEnd.countDown();
        awaitState(successor.id(), TemplateInfo.State.READY);
        assertThat(master.templates().get("base").id()).isEqualTo(successor.id());
        assertThat(master.templates().get(old.id()).aliases()).containsExactly("other");
        restart();
        assertThat(master.templates().get("base").id()).isEqualTo(successor.id());
        assertThat(master.templates().get(old.id()).aliases()).containsExactly("other");
    }

    @Test
    void deletingATemplateFreesItsAliasAndFiles() {
        readyTemplate("base");
        master.templates().delete("base");
        assertRefused(Kind.NOT_FOUND, "no template 'base'", () -> master.templates().get("base"));
        assertThat(templateDirectories()).isEmpty();
        readyTemplate("base");
        master.templates().get("base");
    }

    @Test
    void deletingATemplateCancelsItsJob() throws Exception {
        AtomicBoolean interrupted = new AtomicBoolean();
        cubelet.build = (request, log) -> {
            building.countDown();
            try {
                mayEnd.await();
            } catch (InterruptedException e) {
                interrupted.set(true);
                throw e;
            }
        };
        TemplateInfo template = master.templates().create(templateRequest());
        building.await();
        master.templates().delete(template.id());
        assertThat(interrupted).isTrue();
        assertThat(master.templates().list()).isEmpty();
        assertThat(templateDirectories()).isEmpty();
        restart();
        assertThat(master.templates().list()).isEmpty();
    }

    @Test
    void aJobThatTheServersEndCutShortHasFailed() throws Exception {
        holdBuilds();
        TemplateInfo template = master.templates().create(templateRequest("base"));
        building.await();
        restart();
        assertThat(master.templates().get(template.id()).state()).isEqualTo(TemplateInfo.State.FAILED);
        assertThat(templateDirectories()).isEmpty();
    }

    @Test
    void aJobThatACrashCutShortHasFailedAndItsFilesAreRemoved() throws IOException {
        String id = readyTemplate().id();
        master.close();
        try (Database database = Database.open(home.resolve("cube.db"))) {
            database.write(handle -> handle.execute("UPDATE templates SET state = 'BUILDING'"));
        }
        Path stray = Files.createDirectories(home.resolve("templates/strayfromacrash"));
        Files.writeString(stray.resolve("base.img"), "x");
        open();

        TemplateInfo template = master.templates().get(id);
        assertThat(template.state()).isEqualTo(TemplateInfo.State.FAILED);
        assertThat(template.reason()).contains("create it again");
        assertThat(templateDirectories()).isEmpty();
        restart();
        assertThat(master.templates().get(id).state()).isEqualTo(TemplateInfo.State.FAILED);
    }

    @Test
    void filesThatCannotBeRemovedDoNotKeepTheServerFromStarting() throws IOException {
        TemplateInfo template = readyTemplate("base");
        master.close();
        Files.createDirectories(home.resolve("templates/stray/.base.img.123"));
        cubelet.deleteFailure = new SandboxException(SandboxException.Kind.FAILED, "cannot remove it");
        open();
        assertThat(master.templates().list()).containsExactly(template);
        assertThat(templateDirectories()).containsExactlyInAnyOrder(template.id(), "stray");

        cubelet.deleteFailure = null;
        restart();
        assertThat(templateDirectories()).containsExactly(template.id());
    }

    @Test
    void aTemplateWhoseFilesCannotBeReadIsReportedUntilTheyCan() throws IOException {
        TemplateInfo template = readyTemplate("base");
        Path file = home.resolve("templates").resolve(template.id()).resolve("template");
        Path away = home.resolve("away");
        Files.move(file, away);
        restart();
        assertThat(master.templates().get("base")).extracting(TemplateInfo::state, TemplateInfo::reason)
                .containsExactly(TemplateInfo.State.FAILED, "there is no template in its directory");
        assertThat(templateDirectories()).containsExactly(template.id());

        Files.move(away, file);
        restart();
        assertThat(master.templates().get("base")).isEqualTo(template);
    }

    @Test
    void sandboxesStartWhileTheirTemplateIsReplacedAndDeleted() throws Exception {
        readyTemplate("base");
        AtomicBoolean over = new AtomicBoolean();
        List<Future<Integer>> created = new ArrayList<>();
        try (ExecutorService executor = Executors.newFixedThreadPool(4)) {
            for (int thread = 0; thread < 4; thread++) {
                created.add(executor.submit(() -> {
                    int count = 0;
                    while (!over.get()) {
                        // Fails if the files are gone, or if the alias ever belongs to no template.
                        master.sandboxes().kill(master.sandboxes().create(sandboxRequest("base", HOUR)).id());
                        count++;
                    }
                    return count;
                }));
            }
            try {
                for (int i = 0; i < 20; i++) {
                    String old = master.templates().get("base").id();
                    readyTemplate("base");
                    master.templates().delete(old);
                }
            } finally {
                over.set(true);
            }
        }
        for (Future<Integer> count : created) {
            assertThat(count.get()).isPositive();
        }
        assertThat(templateDirectories()).containsExactly(master.templates().get("base").id());
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "Upper", "-a", "a/b", "ä"})
    void refusesBadAliases(String alias) {
        assertRefused(Kind.INVALID, "alias", () -> master.templates().create(templateRequest(alias)));
    }

    @Test
    void refusesBadRequestsByField() {
        assertRefused(Kind.INVALID, "image", () -> master.templates().create(new CreateTemplate(" ",
                VmShape.DEFAULT, 1L << 30, List.of(), Optional.empty(), List.of())));
        assertRefused(Kind.INVALID, "writableLayerSize", () -> master.templates().create(new CreateTemplate("oci:x",
                VmShape.DEFAULT, 5, List.of(), Optional.empty(), List.of())));
        assertRefused(Kind.INVALID, "exposedPorts", () -> master.templates().create(new CreateTemplate("oci:x",
                VmShape.DEFAULT, 1L << 30, List.of(0), Optional.empty(), List.of())));
        assertRefused(Kind.INVALID, "probePort", () -> master.templates().create(new CreateTemplate("oci:x",
                VmShape.DEFAULT, 1L << 30, List.of(), Optional.of(65536), List.of())));
        assertRefused(Kind.INVALID, "twice", () -> master.templates().create(templateRequest("a", "a")));
        TemplateInfo template = readyTemplate();
        assertRefused(Kind.INVALID, "is the ID of a template",
                () -> master.templates().create(templateRequest(template.id())));
        assertRefused(Kind.INVALID, "offset", () -> master.templates().log(template.id(), -1));
    }
}
