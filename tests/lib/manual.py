"""The commands that the manual shows: found, read by berth, run.

manual.py parse BERTH PAGE…    every berth command in blocks, indented lines and `spans` is one that berth would take
manual.py run PAGE             runs the page's blocks here, in order, in one shell; prints what it counted
manual.py norun BERTH WALK PAGE…   how many commands the pages show, how many are run, and why the others are not; fails
                               where one that could be run is neither run, here or on the WALK (tests/e2e/examples.walk), nor excused
manual.py links PAGE…          links to other pages and to headings lead there
manual.py tested PAGE…         pages that have blocks to run

Blocks that are run: ```console (lines beginning with "$ " are commands; what follows is compared with what they print) and
```sh (all lines are commands, a script). "# exit status N" behind a command is what it must end with, else 0.
```sh norun: REASON and ```console norun: REASON are read by berth, but not run. All other blocks and indented lines are too.

The examples of docs/COMMANDS.md and the complete commands in texts are run on the walk (tests/lib/commands.py goes it).

What is shown: digits stand for any number, … for any text, a line of … for any lines; blanks count as one.
"""
import functools
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time

FENCE = re.compile(r'^```(\S*) *(.*)$')
HOST = 'berth@HOST'


class Block:
    def __init__(self, page, line, lang, info):
        self.page, self.line, self.lang, self.lines = page, line, lang, []
        match = re.match(r'norun: *(.+)', info)
        self.norun = match and match.group(1)

    def is_run(self):
        return self.lang in ('console', 'sh') and not self.norun


def blocks(page):
    """Fenced ones, and one of lang '' for each run of indented lines; the rest of the text with line numbers."""
    found, text, block = [], [], None
    for number, line in enumerate(open(page, encoding='utf-8').read().split('\n'), 1):
        fence = FENCE.match(line)
        if fence:
            if block:
                found.append(block)
                block = None
            else:
                block = Block(page, number + 1, fence.group(1), fence.group(2))
        elif block:
            block.lines.append(line)
        elif re.match(r'    \S', line):
            indented = Block(page, number, '', '')
            indented.lines.append(line[4:])
            found.append(indented)
        else:
            text.append((number, line))
    if block:
        sys.exit(f'{page} line {block.line - 1}: a block without an end')
    return found, text


def commands(block):
    """(line number, command, lines that it prints or None) of a block of commands."""
    found, shown, end = [], block.lang == 'console', None
    for number, line in enumerate(block.lines, block.line):
        if end is not None or (found and found[-1][1].endswith('\\')):
            found[-1][1] += '\n' + line
            if line == end:
                end = None
        elif not shown and (not line.strip() or line.startswith('#')):
            continue
        elif not shown or line.startswith('$ '):
            command = line[2:] if shown else line
            found.append([number, command, [] if shown else None])
            here = re.search(r"<<-?'?(\w+)", command)
            end = here.group(1) if here else None
        elif found:
            found[-1][2].append(line)
        else:
            sys.exit(f'{block.page} line {number}: output without a command')
    return found


# ---- parse ----

def berth_words(text):
    """The words of each berth command in a line, and whether it is cut short (…)."""
    for part in re.split(r'\s(?:&&|\|\||\||;)\s', re.sub(r'^\$ ', '', text)):
        part = re.sub(r'\s#( |$).*', '', part).strip()
        part = re.sub(r'^(?:[A-Z_]+=\S+ )*', '', part)
        part = re.sub(r'^(?:sudo |exec )', '', part)
        match = re.match(rf'(?:ssh {HOST} |berth )([a-z].*|--\w+.*)$', part)
        if not match:
            continue
        line = re.sub(r'\s*\d?[<>]\s*\S+', '', match.group(1))
        cut = '…' in line
        line = line.replace('…', '')
        while re.search(r'\[[^][]*\]', line):
            line = re.sub(r'\[[^][]*\]', '', line)
        try:
            words = shlex.split(line)
        except ValueError:
            continue
        plain = []
        for word in words:
            word = word.split('|')[0] if re.match(r'[\w-]+\|', word) else word
            plain.append(word.lower() if re.fullmatch(r'[A-Z][A-Z0-9]*', word) else word)
        yield plain, cut


def refusal(berth, words, mention):
    """Why berth would not take them; None: it would. mention: what a sentence only names may lack its last words."""
    if words[0] in ('help', 'complete', 'parse') or words[0].startswith('--') or '--help' in words:
        return None
    end = ask(berth, words)
    if end.returncode == 0 or (mention and re.search('something is missing|which app', end.stderr)):
        return None
    return end.stderr.strip().split('\n')[0] or f'status {end.returncode}'


@functools.cache
def ask_tuple(berth, words):
    return subprocess.run([berth, 'parse', *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)


def ask(berth, words):
    return ask_tuple(berth, tuple(words))


def named(line, topics):
    """Commands that a sentence names without berth before them, of berth's topics: `ps:scale`, `http:set sticky`."""
    for span in re.findall(r'`([a-z-]+:[a-z][a-z:-]*)(?: [^`]*)?`', line):
        if span.split(':')[0] in topics:
            yield span


def topics_of(berth):
    offered = subprocess.run([berth, 'complete', ''], capture_output=True, text=True, check=True).stdout.split()
    return {name.split(':')[0] for name in offered if ':' in name}


def parse(berth, pages):
    count, wrong, known = 0, [], {}
    topics = topics_of(berth)
    for page in pages:
        found, text = blocks(page)
        for number, line in text:
            for name in named(line, topics) if 'event' not in line else ():  # events have such names, too
                count += 1
                if 'there is no command' in ask(berth, [name]).stderr:
                    wrong.append(f'{page} line {number}: there is no command {name}')
        wrong += [f'{page} line {number}: a span goes over the line' for number, line in text if line.count('`') % 2]
        lines = [(b.line + i, line, False) for b in found for i, line in enumerate(b.lines)]
        lines += [(number, span, True) for number, line in text for span in re.findall(r'`([^`]+)`', line)]
        for number, line, mention in lines:
            for words, cut in berth_words(line.strip()):
                key = (tuple(words), mention or cut)
                if words and key not in known:
                    known[key] = refusal(berth, words, mention or cut)
                if words and known[key]:
                    wrong.append(f'{page} line {number}: {line.strip()[:100]}: {known[key]}')
                count += 1
    print(f'{count} commands read in {len(pages)} pages, {len(wrong)} refused')
    if wrong:
        sys.exit('\n'.join(wrong))


# ---- run ----

def pattern(line):
    """What a shown line stands for."""
    line = re.sub(r'\s+', ' ', line.strip())
    out = ''
    for part in re.split(r'( ?… ?|\d[\d.,:TZ-]*)', line):
        if part.strip() == '…':
            out += '.*'
        elif re.match(r'\d', part):
            out += r'[\d.,:TZ-]+'
        else:
            out += re.escape(part)
    out = re.sub(r'(http://[\w.\\-]+?)(?=$|\\ |/)', r'\1(:[0-9]+)?', out)
    return re.compile(out)


def matches(shown, printed):
    """Are these the lines, with … lines for any?"""
    shown = [line for line in shown if line.strip()]
    printed = [re.sub(r'\s+', ' ', line.strip()) for line in printed if line.strip()]
    # after each line of shown: where in printed one may stand
    at = {0}
    for line in shown:
        if line.strip() == '…':
            at = set(range(min(at), len(printed) + 1)) if at else at
        else:
            p = pattern(line)
            at = {i + 1 for i in at if i < len(printed) and p.fullmatch(printed[i])}
    return len(printed) in at


class Shell:
    """One shell for a page; each command has no input, and a limit of time."""

    def __init__(self):
        self.bash = subprocess.Popen(['bash'], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.folder = tempfile.mkdtemp()

    def run(self, command):
        step, printed = self.folder + '/step', self.folder + '/printed'
        with open(step, 'w', encoding='utf-8') as f:
            f.write(command + '\n')
        self.bash.stdin.write(f'. {step} </dev/null >{printed} 2>&1; echo "$?"\n')
        self.bash.stdin.flush()
        line = self.bash.stdout.readline()
        return int(line or -1), open(printed, encoding='utf-8', errors='replace').read().split('\n')

    def end(self):
        self.bash.stdin.close()
        self.bash.wait()
        shutil.rmtree(self.folder)


def here(command):
    """As it is run: places of a real host are the page's own."""
    command = command.replace('/run/berth/', os.environ['BERTH_RUN'] + '/')
    # what goes on for ever is looked at for a moment
    if re.search(r'(^|\s)(logs|events)\s.*-t\b', command):
        command = f'timeout 0.3 {command.split(" #")[0]} || [ $? = 124 ]'
    return command


def run(page):
    began, count, slowest, shell = time.monotonic(), 0, (0, 0), Shell()
    for block in blocks(page)[0]:
        for number, command, shown in commands(block) if block.is_run() else []:
            want = re.search(r'# exit status (\d+)', command)
            at = time.monotonic()
            status, printed = shell.run(here(command))
            slowest = max(slowest, (time.monotonic() - at, number))
            count += 1
            if status != (int(want.group(1)) if want else 0):
                sys.exit(f'{page} line {number}: {command}\nstatus {status}:\n' + '\n'.join(printed))
            if shown and not matches(shown, printed):
                sys.exit(f'{page} line {number}: {command}\nis shown with:\n' + '\n'.join(shown) +
                         '\nand printed:\n' + '\n'.join(printed))
    shell.end()
    print(f'{os.path.basename(page)}: {count} commands in {time.monotonic() - began:.1f} s, '
          f'the slowest of line {slowest[1]} in {slowest[0]:.1f} s')


# ---- the walk, and what is not run ----

VERBS = ('example', 'once', 'json', 'shown', 'elsewhere', 'never')


def walk(path):
    """(verb, the rest) of each line of the walk; the verb of a line for the shell is sh."""
    for line in open(path, encoding='utf-8').read().replace('\\\n', '').split('\n'):
        verb, _, rest = line.partition(' ')
        if line and not line.startswith('#'):
            yield (verb, rest) if verb in VERBS else ('sh', line)


def examples(page):
    """What docs/COMMANDS.md shows: {command: (line number, its example)}."""
    found = {}
    for block in blocks(page)[0]:
        if 'Example:' in block.lines:
            at = block.lines.index('Example:') + 1
            found[block.lines[0].split()[1]] = (block.line + at, block.lines[at].strip())
    return found


def plain(text):
    """A command of a text as it is run: of the app blog."""
    return re.sub(r'\s+', ' ', re.sub(r'\s#( |$).*', '', re.sub(r'\bAPP\b', 'blog', text))).strip()


PLACEHOLDER = re.compile(r'…|\[|\w\|[\w-]|(?<!berth@)\bHOST\b|\b(KEY|VALUE|NAME|FILE|URL|TASK|IMAGE|PREVIEW|COMMAND|vA)\b')


class Count:
    """Which commands of the pages are run, and which are not, why."""

    def __init__(self, berth, path, pages):
        self.berth, self.path, self.pages = berth, path, pages
        self.topics, self.counts, self.wrong = topics_of(berth), {}, []
        lines = list(walk(path))
        self.walked = {rest.split()[0] for verb, rest in lines if verb in ('example', 'once')}
        self.shown = {plain(rest) for verb, rest in lines if verb == 'shown'}
        self.elsewhere = {name: rest.split()[0] for verb, rest in lines if verb == 'elsewhere' for name in rest.split()[1:]}
        self.never = {plain(text): why for why, text in (rest.split(': ', 1) for verb, rest in lines if verb == 'never')}
        self.examples, self.in_blocks, self.in_texts = {}, set(), set()

    def add(self, what, n=1):
        self.counts[what] = self.counts.get(what, 0) + n

    def example(self, where, name, text):
        if name in self.walked:
            self.add('run: examples of COMMANDS.md, on the walk')
            self.examples[plain(text)] = name
        elif name in self.elsewhere:
            path = os.path.join(os.path.dirname(self.path), self.elsewhere[name])
            why = f'{os.path.basename(path)} has such commands with what they need'
            self.add(f'not run: examples of COMMANDS.md; {why}')
            self.never.setdefault(plain(text), why)
            self.in_texts.add(plain(text))  # whether a text shows it, too, or not
            if not re.search(rf'\b{name}\b', open(path, encoding='utf-8').read()):
                self.wrong.append(f'{where}: {path} has no {name}')
        else:
            self.add('not run, and nothing says why')
            self.wrong.append(f'{where}: the example of {name} is not run: {self.path} needs a line for it')

    def text(self, where, text):
        """A command of a text, or of a block that is not run as one."""
        if PLACEHOLDER.search(text):
            return self.add('read: in texts, with placeholders')
        if any(refusal(self.berth, words, False) for words, _ in berth_words(text)):
            return self.add('read: in texts, which only name the command')
        for done, what in ((self.in_blocks, 'in blocks of pages'), (self.examples, 'as an example'), (self.shown, 'on the walk')):
            if plain(text) in done:
                self.in_texts.add(plain(text))
                return self.add(f'run: in texts, {what}')
        if plain(text) in self.never:
            self.in_texts.add(plain(text))
            return self.add(f'not run: in texts; {self.never[plain(text)]}')
        self.wrong.append(f'{where}: {text} is not run: {self.path} needs a line for it')
        return self.add('not run, and nothing says why')

    def page_blocks(self, page):
        """Those that are run as blocks; the texts of the others."""
        for block in blocks(page)[0]:
            if block.lang in ('console', 'sh'):
                self.add(f'not run: in blocks; {block.norun}' if block.norun else 'run: in blocks of pages', len(commands(block)))
                if not block.norun:
                    self.in_blocks |= {plain(command) for _, command, _ in commands(block)}

    def page_texts(self, page):
        found, text = blocks(page)
        manual_of_commands = os.path.basename(page) == 'COMMANDS.md'
        for block in found:
            for i, line in enumerate(block.lines if block.lang not in ('console', 'sh') else []):
                if manual_of_commands:
                    self.add('read: headings of COMMANDS.md', i == 0)
                elif any(True for _ in berth_words(line.strip())):
                    self.text(f'{page} line {block.line + i}', line.strip())
        for number, line in text:
            self.add('read: in texts, names without berth before them', len(list(named(line, self.topics))))
            for span in re.findall(r'`([^`]+)`', line):
                if any(True for _ in berth_words(span)):
                    self.text(f'{page} line {number}', span)

    def all(self):
        for page in self.pages:
            self.page_blocks(page)
            if os.path.basename(page) == 'COMMANDS.md':
                for name, (line, text) in examples(page).items():
                    self.example(f'{page} line {line}', name, text)
        for page in self.pages:
            self.page_texts(page)
        for text in sorted((self.shown | set(self.never)) - self.in_texts):
            self.wrong.append(f'{self.path}: no page shows: {text}')
        run = sum(n for what, n in self.counts.items() if what.startswith('run'))
        print(f'{sum(self.counts.values())} commands in {len(self.pages)} pages, {run} of them run:')
        for what in sorted(self.counts, key=lambda what: (('run', 'not', 'rea').index(what[:3]), what)):
            print(f'  {self.counts[what]:4} {what}')
        if self.wrong:
            sys.exit('\n'.join(self.wrong))


# ---- links ----

def anchors(page):
    """As forges make them of headings."""
    found = set()
    for _, line in blocks(page)[1]:
        heading = re.match(r'#+ (.*)', line)
        if heading:
            found.add(re.sub(r'[^\w\- ]', '', heading.group(1).lower()).replace(' ', '-'))
    return found


def links(pages):
    count, wrong = 0, []
    for page in pages:
        for number, line in blocks(page)[1]:
            for target in re.findall(r'\]\(([^)\s]+)\)', line):
                if re.match(r'\w+:', target):
                    continue
                path, _, anchor = target.partition('#')
                path = os.path.normpath(os.path.join(os.path.dirname(page), path)) if path else page
                count += 1
                if not os.path.exists(path):
                    wrong.append(f'{page} line {number}: {target} is not there')
                elif anchor and anchor not in anchors(path):
                    wrong.append(f'{page} line {number}: {path} has no heading {anchor}')
    print(f'{count} links in {len(pages)} pages, {len(wrong)} lead nowhere')
    if wrong:
        sys.exit('\n'.join(wrong))


def main():
    what, rest = sys.argv[1], sys.argv[2:]
    if what == 'parse':
        parse(rest[0], rest[1:])
    elif what == 'run':
        run(rest[0])
    elif what == 'links':
        links(rest)
    elif what == 'norun':
        Count(rest[0], rest[1], rest[2:]).all()
    elif what == 'tested':
        print('\n'.join(p for p in rest if any(b.is_run() for b in blocks(p)[0])))
    else:
        sys.exit(__doc__)


if __name__ == '__main__':
    main()
