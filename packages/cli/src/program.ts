import { Command, type Option } from 'commander';

/** What commander does not declare: how it says that an option is unknown. */
interface UnknownOption {
  unknownOption(flag: string): void;
}

/** A command that tells of a misspelled option before it misses the right one. */
export class Program extends Command {
  override createCommand(name?: string): Program {
    return new Program(name);
  }

  /** Called by commander, which looks for missing options first. */
  missingMandatoryOptionValue(option: Option): void {
    const unknown = this.args.find((word) => /^--?[a-z]/i.test(word));
    if (unknown) (this as unknown as UnknownOption).unknownOption(unknown);
    this.error(`error: required option '${option.flags}' not specified`, {
      code: 'commander.missingMandatoryOptionValue',
    });
  }
}
