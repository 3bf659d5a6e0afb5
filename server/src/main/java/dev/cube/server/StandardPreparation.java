package dev.cube.server;

import dev.cube.cubelet.GuestPreparation;
import dev.cube.envd.daemon.Envd;
import dev.cube.envd.interpreter.CodeInterpreter;
import dev.cube.envd.interpreter.InterpreterWarmup;
import dev.cube.guest.GuestAgent;
import dev.cube.guest.GuestException;
import java.util.function.Consumer;

/** Templates in which the code interpreter is warm, where the image can run it. */
final class StandardPreparation implements GuestPreparation {
    private final InterpreterWarmup interpreter = new InterpreterWarmup();

    @Override
    public void warmUp(GuestAgent agent, Consumer<String> log) {
        interpreter.warmUp(agent, log);
    }

    @Override
    public void exercise(GuestAgent agent) {
        GuestExercise.run(agent);
        interpreter.exercise(agent);
    }

    @Override
    public void useFirst(GuestAgent agent) {
        GuestExercise.useFirst(agent);
        interpreter.useFirst(agent);
    }

    @Override
    public boolean probe(GuestAgent agent, int port) {
        return switch (port) {
            case Envd.PORT -> true;
            case CodeInterpreter.PORT -> interpreter.probe(agent);
            default -> listens(agent, port);
        };
    }

    private static boolean listens(GuestAgent agent, int port) {
        try {
            agent.connect(port).close();
            return true;
        } catch (GuestException e) {
            if (e.kind() == GuestException.Kind.CONNECTION_REFUSED) {
                return false;
            }
            throw e;
        }
    }
}
