"""What the demo model knows: questions with their answers. Owns the facts; `corpus` varies the words.

Every topic is a set of ways to ask and a set of answers that say the same.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Topic:
    """Ways to ask (without capital and question mark where they are questions) and answers."""

    asks: tuple[str, ...]
    answers: tuple[str, ...]


def ask(*asks: str, say: tuple[str, ...]) -> Topic:
    """One topic, written shortly."""
    return Topic(asks, say)


def how_to(*goals: str, say: tuple[str, ...]) -> Topic:
    """A topic about doing something: each goal in all the ways in which people ask for it."""
    frames = (
        "how do I {}",
        "how can I {}",
        "how to {}",
        "what is the way to {}",
        "I want to {}. how does that work",
        "show me how to {}",
        "tell me how to {}",
        "can you explain how to {}",
        "what do I write to {}",
    )
    return Topic(tuple(f.format(g) for g in goals for f in frames), say)


def meaning(*names: str, say: tuple[str, ...]) -> Topic:
    """A topic about what a thing is."""
    frames = (
        "what is {}",
        "what's {}",
        "what does {} mean",
        "explain {}",
        "explain {} to me",
        "tell me about {}",
        "can you tell me what {} is",
        "what do people mean by {}",
        "describe {} in a sentence",
        "do you know what {} is",
    )
    return Topic(tuple(f.format(n) for n in names for f in frames), say)


PRODUCT = (
    meaning(
        "ollama_nb",
        "this package",
        "the ollama_nb package",
        "this product",
        "this tool",
        "ollama nb",
        say=(
            "ollama_nb runs local language models for notebooks. You write %%generate in a cell, and the answer streams into the notebook.",
            "ollama_nb brings local language models into Jupyter notebooks. It speaks Ollama's API, streams answers into cells, and returns statistics as a DataFrame.",
            "It is a local model server for notebooks. Answers stream into the cell, and embeddings and timings come back as pandas DataFrames.",
        ),
    ),
    how_to(
        "stop an answer",
        "stop the model",
        "stop a running answer",
        "interrupt the generation",
        "cancel an answer",
        "make it stop writing",
        "stop a cell that is still writing",
        say=(
            "Interrupt the kernel. The engine stops at once, and the words that have come stay in the cell.",
            "Press the stop button of the notebook. The model stops writing, and you keep what has come so far.",
            "Interrupt the cell with the stop button or Ctrl-C. The answer so far is kept, and the engine is free again.",
        ),
    ),
    how_to(
        "generate text in a notebook",
        "ask the model something",
        "write a prompt in a cell",
        "use %%generate",
        "get an answer in a cell",
        "send a prompt",
        say=(
            "Write %%generate in the first line of a cell and your prompt below it. Then run the cell, and the answer streams in.",
            "Load the extension with %load_ext ollama_nb. Then begin a cell with %%generate and write your prompt below.",
        ),
    ),
    how_to(
        "chat with the model",
        "use %chat",
        "have a conversation",
        "talk to the model in a notebook",
        "ask a second question about the first answer",
        say=(
            "Use %chat with your message. The conversation is kept, so the next %chat knows what was said before.",
            "Write %chat and your words in a cell. The model remembers the earlier turns of the conversation.",
        ),
    ),
    how_to(
        "get embeddings",
        "embed texts",
        "use embed()",
        "turn texts into vectors",
        "make vectors from a column",
        say=(
            "Call embed() with a list of texts. You get a DataFrame with one row for each text, and the index is kept.",
            "Use embed() on a list or a pandas Series. Each text becomes one row of numbers in a DataFrame.",
        ),
    ),
    how_to(
        "see the statistics",
        "see how fast the model is",
        "use stats()",
        "measure tokens per second",
        "get the timings",
        "count the tokens",
        say=(
            "Call stats(). It returns a DataFrame with one row for each call: the model, the token counts, the seconds, and the tokens per second.",
            "Use stats() to get a table of all calls. Each row holds the counts, the load and eval seconds, and the speed.",
        ),
    ),
    how_to(
        "list the models",
        "see which models there are",
        "find out what is installed",
        "show all models",
        say=(
            "Write %ollama list. It shows every model in the store with its size.",
            "Use %ollama list to see the models that are installed on this machine.",
        ),
    ),
    how_to(
        "see which models are loaded",
        "see what is in memory",
        "use %ollama ps",
        say=(
            "Write %ollama ps. It shows the loaded models and how long they stay in memory.",
            "Use %ollama ps. You see each loaded model, its size, and when it will be unloaded.",
        ),
    ),
    how_to(
        "unload a model",
        "free the memory of a model",
        "remove a model from memory",
        say=(
            "Write %ollama stop and the name of the model. Its memory is free as soon as nobody uses it.",
            "Use %ollama stop with the model's name. The model is unloaded when its last answer is done.",
        ),
    ),
    how_to(
        "keep the answer in a variable",
        "save the answer",
        "store an answer",
        "use the answer in Python",
        say=(
            "End the magic line with an arrow and a name, such as %%generate -> story. The answer is then in the variable story.",
            "Write -> and a variable name at the end of the magic line. The answer is a string, so you can use it like any other text.",
        ),
    ),
    how_to(
        "choose a model",
        "use another model",
        "switch to a different model",
        "set the model",
        say=(
            "Use -m and the name of the model in the magic line, such as %%generate -m llama3.",
            "Write -m with a model name after the magic. Without it, the default model answers.",
        ),
    ),
    how_to(
        "set the temperature",
        "make the answers less random",
        "get the same answer every time",
        "make an answer repeatable",
        say=(
            "Use -t 0 in the magic line and set a seed with -o seed=1. Then the same prompt gives the same answer.",
            "Set the temperature to 0 and give a seed. With -t 0 the model always takes the most likely token.",
        ),
    ),
    how_to(
        "start the server",
        "run the server without Jupyter",
        "serve models to other programs",
        "use ollama-nb serve",
        say=(
            "Run ollama-nb serve in a terminal. It listens on port 11434, and every Ollama client can use it.",
            "Write ollama-nb serve. The server then speaks Ollama's API on your own machine.",
        ),
    ),
    how_to(
        "share one model with a class",
        "use it on a JupyterHub",
        "serve many users",
        "give a model to all students",
        say=(
            "Put it on a JupyterHub. One copy of the server can then answer many users, and each of them signs in with the Hub's own token.",
            "Use JupyterHub with the extension. The users share one server, and nobody has to copy an API key.",
        ),
    ),
    ask(
        "which clients work with it",
        "does the ollama client work",
        "can I use my old Ollama program",
        "does it work with other programs",
        "is it compatible with Ollama",
        say=(
            "Every client that speaks Ollama's API works. Point OLLAMA_HOST at the server, and nothing else has to change.",
            "Yes. It answers the same routes as Ollama, so your client notices no difference.",
        ),
    ),
    ask(
        "does it need a GPU",
        "do I need a graphics card",
        "can it run on a CPU",
        "does it run on my laptop",
        say=(
            "No, it runs on the CPU of your own machine. Small models are fast enough for a laptop.",
            "It does not need a GPU. A normal CPU is enough for small models.",
        ),
    ),
    ask(
        "does it send my data to the cloud",
        "is my data private",
        "where does the model run",
        "does my text leave this machine",
        "is it local",
        say=(
            "The model runs on your own machine. Your text never leaves it.",
            "Everything is local. No text is sent to the cloud, and you need no API key.",
        ),
    ),
    ask(
        "what happens if the model crashes",
        "what if the engine dies",
        "can a crash of the model stop Jupyter",
        say=(
            "Each model runs in a process of its own. If it crashes, you see a clear error, and the next cell works again.",
            "A crash ends only the worker process. Jupyter goes on, and the next request starts a new worker.",
        ),
    ),
    ask(
        "who are you",
        "what are you",
        "what is your name",
        "which model are you",
        "are you a person",
        "tell me about yourself",
        "introduce yourself",
        say=(
            "I am the demo model of ollama_nb. I am very small, but I can tell short stories and answer simple questions.",
            "I am demo, a tiny language model. I live on your machine and answer in your notebook.",
        ),
    ),
    ask(
        "what can you do",
        "what do you know",
        "how can you help me",
        "what can I ask you",
        "give me some ideas what to ask",
        say=(
            "I can tell short stories, answer questions about ollama_nb and pandas, judge reviews, and add small numbers.",
            "Ask me for a short story, for help with a DataFrame, or whether a review is positive or negative.",
        ),
    ),
    ask(
        "are you a large model",
        "how big are you",
        "how many parameters do you have",
        "are you smart",
        say=(
            "I am tiny, with fewer than four million parameters. For real work, choose a larger model with -m.",
            "I am a very small model. I am here to show how everything works, and a larger model will know much more.",
        ),
    ),
)

WORDS = (
    meaning(
        "a token",
        "a token in a language model",
        say=(
            "A token is a small piece of text, such as a word or a part of a word. A model reads and writes text token by token.",
            "A token is a piece of a word. Language models read text as a list of tokens.",
        ),
    ),
    meaning(
        "an embedding",
        "a text embedding",
        "an embedding vector",
        say=(
            "An embedding is a list of numbers that stands for the meaning of a text. Similar texts have similar numbers.",
            "An embedding turns a text into a vector. Texts with a similar meaning lie close together.",
        ),
    ),
    meaning(
        "a context window",
        "the context of a model",
        "num_ctx",
        "the context length",
        say=(
            "The context window is the number of tokens that a model can see at once. What does not fit is cut off.",
            "It is how much text the model can look at, counted in tokens. The prompt and the answer share it.",
        ),
    ),
    meaning(
        "a language model",
        "an LLM",
        "a large language model",
        say=(
            "A language model predicts the next token of a text. It has learned this from many examples.",
            "A language model is a program that continues a text. It chooses one token after another.",
        ),
    ),
    meaning(
        "the temperature",
        "temperature in sampling",
        "the option temperature",
        say=(
            "The temperature says how random the answers are. At 0 the model always takes the most likely token.",
            "A low temperature makes answers steady, and a high temperature makes them more surprising.",
        ),
    ),
    meaning(
        "a prompt",
        "a prompt for a model",
        say=(
            "A prompt is the text that you give to a model. The model reads it and writes an answer.",
            "A prompt is your question or task, written as text.",
        ),
    ),
    meaning(
        "a system prompt",
        "the system message",
        say=(
            "A system prompt tells the model how to behave. It stands before the conversation.",
            "It is a text that stands at the beginning and says how the model should answer.",
        ),
    ),
    meaning(
        "a seed",
        "the option seed",
        say=(
            "A seed fixes the random choices of the model. With the same seed and prompt you get the same answer.",
            "A seed is a number that makes random answers repeatable.",
        ),
    ),
    meaning(
        "streaming",
        "a streamed answer",
        say=(
            "Streaming means that the answer appears word by word while the model writes it.",
            "With streaming you see each word as soon as it is written, so you do not wait for the end.",
        ),
    ),
    meaning(
        "quantization",
        "a quantized model",
        say=(
            "Quantization stores the numbers of a model with fewer bits. The model becomes smaller and faster.",
            "A quantized model uses small numbers, so it needs less memory.",
        ),
    ),
    meaning(
        "Ollama",
        "the Ollama API",
        say=(
            "Ollama is a program that runs language models on your own machine. Other programs use it through its API.",
            "Ollama serves local models over HTTP. ollama_nb speaks the same API inside Jupyter.",
        ),
    ),
    meaning(
        "llama.cpp",
        say=(
            "llama.cpp is a fast engine that runs language models on ordinary computers. ollama_nb uses it to compute its answers.",
        ),
    ),
    meaning(
        "a GGUF file",
        "GGUF",
        say=(
            "A GGUF file holds a model: its weights, its tokens, and its settings in one file.",
            "GGUF is the file format of llama.cpp. One file contains the whole model.",
        ),
    ),
    meaning(
        "JupyterHub",
        "a JupyterHub",
        say=(
            "JupyterHub gives every user a Jupyter server of their own. It is often used for classes and teams.",
        ),
    ),
    meaning(
        "cosine similarity",
        "the cosine of two vectors",
        say=(
            "Cosine similarity says how alike two vectors are. It is 1 if they point in the same direction.",
        ),
    ),
)

NOTEBOOKS = (
    meaning(
        "a notebook",
        "a Jupyter notebook",
        say=(
            "A notebook is a document with text, code, and results. You run it cell by cell.",
            "A Jupyter notebook mixes code cells, their outputs, and your notes.",
        ),
    ),
    meaning(
        "a kernel",
        "the kernel of a notebook",
        say=(
            "The kernel is the process that runs the code of a notebook. It keeps your variables.",
            "A kernel runs your cells and remembers the variables until you restart it.",
        ),
    ),
    meaning(
        "a magic",
        "a magic command",
        "a cell magic",
        say=(
            "A magic is a command for the notebook that begins with a percent sign. Two percent signs take the whole cell.",
            "Magics are short commands, such as %chat or %%generate. They begin with a percent sign.",
        ),
    ),
    meaning(
        "a cell",
        "a code cell",
        say=(
            "A cell is one block of a notebook. A code cell is run by the kernel, and its output appears below it.",
        ),
    ),
    meaning(
        "a widget",
        "an ipywidget",
        say=("A widget is a control in a notebook, such as a button or a text box.",),
    ),
    how_to(
        "run a cell",
        "execute a cell",
        say=(
            "Click into the cell and press Shift and Enter. The output appears below the cell.",
            "Press Shift+Enter in the cell. The kernel runs it and shows the result.",
        ),
    ),
    how_to(
        "restart the kernel",
        "clear all variables",
        say=(
            "Open the Kernel menu and choose Restart. All variables are gone then, so run your cells again.",
        ),
    ),
    how_to(
        "save a notebook",
        "save my work",
        say=(
            "Press Ctrl+S, or choose Save in the File menu. The outputs are saved with the notebook.",
        ),
    ),
    how_to(
        "add a new cell",
        "insert a cell",
        say=(
            "Press B to add a cell below, or A to add one above. You can also click the plus sign.",
        ),
    ),
)

PANDAS = (
    meaning(
        "a DataFrame",
        "a pandas DataFrame",
        "DataFrame in pandas",
        "a data frame",
        say=(
            "A DataFrame is a table with rows and named columns. It is the main object of pandas.",
            "A DataFrame is a table in pandas. Each column has a name, and each row has an index.",
        ),
    ),
    meaning(
        "a Series",
        "a pandas Series",
        say=(
            "A Series is one column of data with an index. A DataFrame is made of several Series.",
        ),
    ),
    meaning(
        "an index",
        "the index of a DataFrame",
        say=("The index names the rows of a DataFrame. You use it to find and to join rows.",),
    ),
    meaning(
        "pandas",
        "the pandas library",
        say=("pandas is a Python library for tables. It reads, cleans, and sums up data.",),
    ),
    how_to(
        "sort a DataFrame by a column",
        "sort the rows by one column",
        "sort a table",
        "sort it by a column",
        "sort by price",
        "order the rows by a column",
        say=(
            "Use df.sort_values with the name of the column. Add ascending=False to begin with the largest value.",
            'Call df.sort_values("column"). The rows are then in the order of that column.',
        ),
    ),
    how_to(
        "see the first rows",
        "show the first five rows",
        "see only the first rows",
        "look at the top of a table",
        "see the first ten rows",
        "show just a few rows",
        say=(
            "Use df.head(). It shows the first five rows, and df.head(10) shows ten.",
            "Call df.head() to see the first five rows of the DataFrame.",
        ),
    ),
    how_to(
        "see the last rows",
        "show the end of a table",
        say=("Use df.tail(). It shows the last five rows of the DataFrame.",),
    ),
    how_to(
        "filter rows",
        "keep only some rows",
        "select rows by a condition",
        "find the rows where a value is large",
        say=(
            'Put a condition in square brackets, such as df[df["price"] > 10]. Only the matching rows stay.',
            'Use a condition, for example df[df["age"] > 30]. The result holds only the rows for which it is true.',
        ),
    ),
    how_to(
        "group rows",
        "use groupby",
        "group by a column",
        "get the mean of each group",
        say=(
            "Use df.groupby with a column, and then a function such as mean. You get one row for each group.",
            'Call df.groupby("city").mean(). pandas then computes the mean of each group.',
        ),
    ),
    how_to(
        "read a CSV file",
        "load a CSV",
        "open a file with pandas",
        "import data from a file",
        say=(
            "Use pd.read_csv with the name of the file. It returns a DataFrame.",
            'Call pd.read_csv("data.csv"). The file becomes a DataFrame.',
        ),
    ),
    how_to(
        "write a CSV file",
        "save a DataFrame",
        "export a table",
        say=("Use df.to_csv with a file name. Add index=False to leave the index out.",),
    ),
    how_to(
        "rename a column",
        "change a column name",
        say=("Use df.rename with columns and a dictionary of the old and new names.",),
    ),
    how_to(
        "drop a column",
        "delete a column",
        "remove a column",
        say=('Use df.drop(columns="name"). It returns a DataFrame without that column.',),
    ),
    how_to(
        "add a column",
        "make a new column",
        say=('Write df["new"] = and the values. The DataFrame then has a column named new.',),
    ),
    how_to(
        "find missing values",
        "count missing values",
        "handle NaN",
        "fill empty cells",
        say=(
            "Use df.isna().sum() to count them. With df.fillna or df.dropna you fill or drop them.",
        ),
    ),
    how_to(
        "join two DataFrames",
        "merge two tables",
        "combine two tables",
        say=(
            "Use pd.merge with both DataFrames and the common column. Each row is joined with its match.",
            'Call pd.merge(a, b, on="id"). The rows with the same id are put together.',
        ),
    ),
    how_to(
        "compute the mean of a column",
        "get the average",
        "find the average value",
        say=('Use df["column"].mean(). It returns the average of the values.',),
    ),
    how_to(
        "count the rows",
        "find out how many rows there are",
        "get the size of a table",
        say=("Use len(df) for the number of rows. df.shape tells the rows and the columns.",),
    ),
    how_to(
        "plot a column",
        "draw a chart",
        "make a plot",
        say=("Call df.plot() with the columns you want. The chart appears below the cell.",),
    ),
    how_to(
        "remove duplicates",
        "drop double rows",
        say=("Use df.drop_duplicates(). It keeps the first of each group of equal rows.",),
    ),
    how_to(
        "select a column",
        "get one column",
        "see only one column",
        say=('Write df["name"] with the name of the column. You get a Series.',),
    ),
    how_to(
        "see the columns",
        "list the column names",
        "find out which columns there are",
        say=("Look at df.columns. It holds the names of all columns.",),
    ),
    how_to(
        "describe a DataFrame",
        "get a summary of the numbers",
        "sum up a table",
        say=(
            "Use df.describe(). It shows the count, the mean, and the spread of every number column.",
        ),
    ),
    how_to(
        "change the type of a column",
        "turn text into numbers",
        say=('Use astype, for example df["age"].astype(int). For messy text use pd.to_numeric.',),
    ),
)

TALK = (
    ask(
        "hello",
        "hi",
        "hi there",
        "hello there",
        "good morning",
        "good evening",
        "hey",
        "hello demo",
        "good day",
        say=(
            "Hello! What can I do for you?",
            "Hi! I am the demo model. Ask me something, or let me tell you a story.",
            "Hello! It is nice to meet you.",
        ),
    ),
    ask(
        "how are you",
        "how are you today",
        "how do you do",
        "are you well",
        say=(
            "I am fine, thank you. How can I help you?",
            "I am well, thank you for asking.",
        ),
    ),
    ask(
        "thank you",
        "thanks",
        "thanks a lot",
        "thank you very much",
        "that helped, thank you",
        say=(
            "You are welcome!",
            "I am glad that I could help.",
        ),
    ),
    ask(
        "goodbye",
        "bye",
        "see you later",
        "good night",
        "that is all for today",
        say=(
            "Goodbye! Have a nice day.",
            "See you soon!",
        ),
    ),
    ask(
        "tell me a joke",
        "make me laugh",
        "do you know a joke",
        say=(
            "Why did the notebook go to school? It wanted to learn a few new cells.",
            "Why was the table so calm? Everything was in its own row.",
        ),
    ),
    ask(
        "name a color",
        "name a colour",
        "tell me a color",
        "say a color",
        "give me one color",
        say=(
            "Blue is a nice color.",
            "Green is a nice color.",
            "Red is a warm color.",
        ),
    ),
    ask(
        "name an animal",
        "tell me an animal",
        "which animal do you like",
        say=(
            "I like the fox.",
            "I like the owl, because it is wise.",
            "A cat is a lovely animal.",
        ),
    ),
    ask(
        "why is the sky blue",
        "what makes the sky blue",
        "explain why the sky is blue",
        say=(
            "The air scatters blue light more than red light, so the sky looks blue.",
            "The sky is blue because the air scatters the blue part of the sunlight.",
        ),
    ),
    ask(
        "what is the capital of France",
        "which city is the capital of France",
        say=("The capital of France is Paris.",),
    ),
    ask(
        "what is the capital of Italy",
        "which city is the capital of Italy",
        say=("The capital of Italy is Rome.",),
    ),
    ask(
        "what is the capital of Germany",
        "which city is the capital of Germany",
        say=("The capital of Germany is Berlin.",),
    ),
    ask(
        "what is the capital of Spain",
        "which city is the capital of Spain",
        say=("The capital of Spain is Madrid.",),
    ),
    ask(
        "how many days are in a week",
        "how many days does a week have",
        say=("A week has seven days.",),
    ),
    ask(
        "how many months are in a year",
        "how many months does a year have",
        say=("A year has twelve months.",),
    ),
    ask(
        "what is Python",
        "explain Python",
        "what is Python used for",
        say=(
            "Python is a programming language. It is easy to read, and many people use it for data.",
        ),
    ),
)

UNKNOWN = (
    "I do not know that, because I am a very small model. Please ask a larger one.",
    "I am too small to know this. A larger model can tell you more.",
    "That is too hard for me. Choose a larger model with -m and ask it again.",
)
