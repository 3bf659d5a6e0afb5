package dev.cube.envd.interpreter;

import dev.cube.guest.GuestAgent;
import dev.cube.guest.GuestException;
import java.util.Optional;
import java.util.function.Consumer;

/**
 * Makes a template's guest ready to run cells: its default context runs, and has all that cells usually need loaded,
 * when the guest is captured. Thread-safe.
 */
public final class InterpreterWarmup {
    private final KernelFiles files;

    public InterpreterWarmup() {
        this(KernelFiles.GUEST);
    }

    InterpreterWarmup(KernelFiles files) {
        this.files = files;
    }

    /**
     * Starts the default context and runs typical cells in it. An image that cannot run it is none the worse; the log
     * is told why.
     *
     * @throws GuestException if the guest is lost
     */
    public void warmUp(GuestAgent agent, Consumer<String> log) {
        var contexts = new Contexts(agent, files);
        try {
            String said = contexts.warmUp(Language.PYTHON);
            log.accept("code interpreter: Python is ready" + (said.isEmpty() ? "" : "; " + said));
        } catch (KernelException e) {
            log.accept("code interpreter: not available: " + e.getMessage());
        } catch (GuestException e) {
            if (e.kind() == GuestException.Kind.DISCONNECTED) {
                throw e;
            }
            log.accept("code interpreter: not available: " + e.getMessage());
        } finally {
            contexts.release();
        }
    }

    /**
     * Runs cells that need no library in the default context, where there is one, and has it forget them; and cells in
     * further contexts, which are removed again.
     *
     * @throws GuestException if the guest is lost
     */
    public void exercise(GuestAgent agent) {
        withContexts(agent, contexts -> {
            exerciseFurther(contexts, Language.BASH);
            exerciseFurther(contexts, Language.PYTHON);
            contexts.standard(Language.PYTHON).exerciseAndForget();
        });
    }

    /**
     * Runs a cell in the default context, where there is one.
     *
     * @throws GuestException if the guest is lost, or its interpreter does not work
     */
    public void useFirst(GuestAgent agent) {
        withContexts(agent, contexts -> contexts.standard(Language.PYTHON).runSimpleCell());
    }

    private void withContexts(GuestAgent agent, Consumer<Contexts> use) {
        if (!probe(agent)) {
            return;
        }
        var contexts = new Contexts(agent, files);
        try {
            use.accept(contexts);
        } catch (KernelException e) {
            throw new GuestException(GuestException.Kind.INTERNAL, e.getMessage(), e);
        } finally {
            contexts.release();
        }
    }

    private static void exerciseFurther(Contexts contexts, Language language) {
        try {
            Context further = contexts.create(language, Optional.empty());
            further.exercise();
            contexts.remove(further);
        } catch (KernelException.Unavailable e) {
            // The image has no such language.
        }
    }

    /** Whether a default context runs in the guest. */
    public boolean probe(GuestAgent agent) {
        return agent.processes().stream()
                .anyMatch(process -> process.tag().flatMap(ContextTag::parse).filter(ContextTag::standard).isPresent());
    }

    /** Whether a process is the interpreter's own, by its tag, so that lists of a user's processes leave it out. */
    public static boolean isInternal(Optional<String> tag) {
        return tag.flatMap(ContextTag::parse).isPresent();
    }
}
