/** `node place.js JOB`: what runs in one place. The job is JSON, and so is what it prints. */
import { trainHere } from './training.js';

trainHere(JSON.parse(process.argv[2])).then(
  (report) => console.log(JSON.stringify(report)),
  (error: Error) => {
    console.error(error.message);
    process.exitCode = 1;
  },
);
