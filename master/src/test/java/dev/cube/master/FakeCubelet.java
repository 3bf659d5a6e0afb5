package dev.cube.master;

import dev.cube.cubelet.Cubelet;
import dev.cube.cubelet.RunningSandbox;
import dev.cube.cubelet.Sandbox;
import dev.cube.cubelet.SandboxException;
import dev.cube.cubelet.SandboxSpec;
import dev.cube.cubelet.Template;
import dev.cube.cubelet.TemplateBuilder;
import dev.cube.hypervisor.VmImage;
import dev.cube.hypervisor.VmShape;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.Consumer;
import java.util.stream.Stream;

/**
 * A node without a hypervisor. It outlives the masters of a test as a machine outlives its servers: what it runs is
 * found again by {@link #recover}. Templates are directories with one file.
 */
final class FakeCubelet implements Cubelet {
    /** What building a template does, after its directory was made. */
    interface Build {
        void run(TemplateBuilder.Request request, Consumer<String> log) throws InterruptedException;
    }

    final Map<String, FakeSandbox> running = new ConcurrentHashMap<>();
    final List<RunningSandbox> expected = new CopyOnWriteArrayList<>();
    volatile Build build = (request, log) -> log.accept("made");
    volatile SandboxException createFailure;
    volatile SandboxException deleteFailure;

    @Override
    public Sandbox create(SandboxSpec spec) {
        if (createFailure != null) {
            throw createFailure;
        }
        if (!Files.isDirectory(spec.image().directory())) {
            throw new SandboxException(SandboxException.Kind.FAILED, "the image's files are gone");
        }
        FakeSandbox sandbox = new FakeSandbox(spec);
        running.put(spec.id(), sandbox);
        return sandbox;
    }

    void die(String id, String reason) {
        running.remove(id).gone.complete(reason);
    }

    @Override
    public Optional<Sandbox> find(String id) {
        return Optional.ofNullable(running.get(id));
    }

    @Override
    public Collection<Sandbox> list() {
        return List.copyOf(running.values());
    }

    @Override
    public void destroy(String id) {
        FakeSandbox sandbox = running.remove(id);
        if (sandbox != null) {
            sandbox.gone.complete("destroyed");
        }
    }

    @Override
    public Collection<Sandbox> recover(Collection<RunningSandbox> sandboxes) {
        expected.clear();
        expected.addAll(sandboxes);
        List<Sandbox> recovered = new ArrayList<>();
        for (RunningSandbox record : sandboxes) {
            // A new connection to the same VM.
            running.computeIfPresent(record.id(), (id, old) -> {
                FakeSandbox sandbox = new FakeSandbox(id, old.environment);
                recovered.add(sandbox);
                return sandbox;
            });
        }
        running.keySet().removeIf(id -> recovered.stream().noneMatch(sandbox -> sandbox.id().equals(id)));
        return recovered;
    }

    @Override
    public Template openTemplate(Path directory) {
        if (!Files.exists(directory.resolve("template"))) {
            throw new SandboxException(SandboxException.Kind.FAILED, "there is no template in its directory");
        }
        return template(directory);
    }

    private static Template template(Path directory) {
        return new Template(new VmImage(directory, VmShape.DEFAULT, directory.resolve("base"), "fake"),
                Map.of("FROM", "image", "BOTH", "image"));
    }

    @Override
    public void deleteTemplate(Path directory) {
        if (deleteFailure != null) {
            throw deleteFailure;
        }
        try (Stream<Path> walk = Files.walk(directory)) {
            for (Path path : walk.sorted(Comparator.reverseOrder()).toList()) {
                Files.delete(path);
            }
        } catch (NoSuchFileException e) {
            // Nothing to delete.
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Override
    public TemplateBuilder templateBuilder() {
        return (request, directory, log) -> {
            boolean whole = false;
            try {
                Files.createDirectory(directory);
                build.run(request, log);
                Files.writeString(directory.resolve("template"), request.image());
                whole = true;
                return template(directory);
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            } finally {
                if (!whole) {
                    deleteTemplate(directory);
                }
            }
        };
    }

    @Override
    public void close() {}
}
